#!/usr/bin/env bats
# hamal-repo: repositories that are made, empty, missing or damaged. Versions come with hamal-sync's tests.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  R=dir:$W/backups
}
teardown() { end_world; }

@test "a repository is made once" {
  succeeds hamal-repo init "$R"
  [ -f "$W/backups/repository.json" ]
  [ "$(field "$W/backups/repository.json" 'd["format"], d["encrypted"]')" = "('hamal-repository', False)" ]
  cp "$W/backups/repository.json" "$W/before"
  fails 2 "holds a repository already" hamal-repo init "$R"
  cmp "$W/before" "$W/backups/repository.json"
}

@test "what is no repository says how to make one, and nothing is made" {
  local command
  for command in list stats verify; do
    fails 2 "holds no repository*hamal-repo init $R" hamal-repo "$command" "$R"
  done
  fails 2 "holds no repository" hamal-repo show "$R" web
  [ ! -e "$W/backups" ]
}

@test "an empty one has no versions, and all of it is well" {
  hamal-repo init "$R"
  succeeds hamal-repo list "$R"
  [ "$(wc -l < "$W/out")" = 1 ]
  succeeds hamal-repo --json list "$R"
  [ -z "$out" ]
  succeeds hamal-repo verify --full "$R"
  has "$out" "0 versions, 0 layers, 0 packs*all is well"
  succeeds hamal-repo --json stats "$R"
  [ "$(field "$W/out" 'd["versions"], d["vms"], d["objects"]["packs"]["count"]')" = "(0, 0, 0)" ]
}

@test "a vm that is not there is named" {
  hamal-repo init "$R"
  fails 2 "web*" hamal-repo show "$R" web
  fails 2 "web*" hamal-repo list "$R" web
  fails 2 "web*" hamal-repo verify "$R" web
}

@test "a description that is damaged, or of a later release, is refused" {
  hamal-repo init "$R"
  sed -i 's/"version":1/"version":2/' "$W/backups/repository.json"
  fails 1 "repository.json*version 2*" hamal-repo list "$R"
  head -c 20 "$W/backups/repository.json" > "$W/cut"
  cp "$W/cut" "$W/backups/repository.json"
  fails 1 "repository.json*" hamal-repo list "$R"
}

@test "a slot that holds nonsense is named by verify, and fails a list" {
  hamal-repo init "$R"
  mkdir -p "$W/backups/versions/lab/web"
  echo '{"format":"hamal-version"}' > "$W/backups/versions/lab/web/0000000001"
  capture hamal-repo verify "$R"
  [ "$status" = 1 ]
  has "$out" "DAMAGED*web version 1*versions/lab/web/0000000001"
  capture hamal-repo --json verify "$R"
  [ "$status" = 1 ]
  [ "$(field "$W/out" 'd["damaged_objects"]')" = "['versions/lab/web/0000000001']" ]
  fails 1 "versions/lab/web/0000000001*" hamal-repo list "$R"
}

@test "other endpoints are no repositories" {
  fails 2 "*" hamal-repo list "file:$W/x"
  fails 2 "*" hamal-repo init "s3://nowhere/x"
}
