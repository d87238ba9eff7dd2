// What a test asks of the server through /_ctl: settings that stay, and rules for single calls.
package main

import (
	"reflect"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// A rule acts on calls of Method ("*": any) after it let Skip of them pass, Times times (0: always). Do is one of
//
//	fault:TYPE    the call fails with that fault
//	task:TYPE     the task that the call starts fails with it
//	answer:HOW    QueryChangedDiskAreas answers so (changes.go)
//	http:STATUS   an answer that is no SOAP
//	cut_before    the connection is cut and nothing was done
//	cut_after     it was done, and the connection is cut before the answer
//	hold_before   the call waits, undone, until its caller is gone or PUT /_ctl/rules; then it is cut
//	hold_after    the same, but it was done
//	expire        the session has expired when it arrives
type rule struct {
	Method string `json:"method"`
	Skip   int    `json:"skip"`
	Times  int    `json:"times"`
	Do     string `json:"do"`
	done   int
}

type settings struct {
	MaxAreas      int     `json:"max_areas"`       // of one QueryChangedDiskAreas
	MaxObjects    int     `json:"max_objects"`     // of one answer of the property collector; 0: as asked for
	Pages         string  `json:"pages"`           // "again": each page is the first, without end; "empty": no page tells of an object
	TaskDelay     int     `json:"task_delay_ms"`   // that a task takes
	StunNeeded    bool    `json:"stun_needed"`     // tracking begins after the snapshot that follows its enabling
	IgnoreTrack   bool    `json:"ignore_tracking"` // enabling change tracking succeeds and changes nothing
	Untracked     []int32 `json:"untracked"`       // keys of disks whose snapshots have no change id
	QuiesceFault  string  `json:"quiesce_fault"`   // of quiesced snapshots
	Consolidation bool    `json:"consolidation"`   // removing a snapshot leaves disks to be consolidated
	DoubleEncoded bool    `json:"double_encoded"`  // /folder wants dcPath and dsName encoded twice, as vCenter
	NoFolder      bool    `json:"no_folder"`       // /folder is forbidden
	Staying       int     `json:"staying"`         // so many removals of snapshots succeed and remove nothing
	SilentRevert  bool    `json:"silent_revert"`   // the log of events does not tell of reverts; their tasks it does
	MaxEvents     int     `json:"max_events"`      // of one answer; 0: as asked for
	Folder        string  `json:"folder"`          // "whole": it knows no ranges; "longer": its files have other sizes
	Areas         int     `json:"areas"`           // so many changed areas instead of those that there are
	KeepFrozen    bool    `json:"keep_frozen"`     // the disks of removed snapshots stay in DIR/frozen, to compare with
}

var (
	lock    sync.Mutex
	current settings
	rules   []*rule
	planned types.BaseMethodFault // of the next task
	answer  string                // of the next QueryChangedDiskAreas
	release = make(chan struct{}) // closed when held calls go on
)

func defaults() settings { return settings{MaxAreas: 2000, TaskDelay: 20} }

func locked[T any](get func() T) T {
	lock.Lock()
	defer lock.Unlock()
	return get()
}

func faultOf(name string) types.BaseMethodFault {
	t, ok := types.TypeFunc()(name)
	if !ok {
		panic("no such fault: " + name)
	}
	return reflect.New(t).Interface().(types.BaseMethodFault)
}

func maxAreas() int            { return locked(func() int { return current.MaxAreas }) }
func maxObjects() int          { return locked(func() int { return current.MaxObjects }) }
func pagesLie() string         { return locked(func() string { return current.Pages }) }
func stunNeeded() bool         { return locked(func() bool { return current.StunNeeded }) }
func ignoreTracking() bool     { return locked(func() bool { return current.IgnoreTrack }) }
func manyAreas() int64         { return locked(func() int64 { return int64(current.Areas) }) }
func keepFrozen() bool         { return locked(func() bool { return current.KeepFrozen }) }
func leaveConsolidation() bool { return locked(func() bool { return current.Consolidation }) }
func taskDelay() time.Duration {
	return locked(func() time.Duration { return time.Duration(current.TaskDelay) * time.Millisecond })
}

func stays() bool {
	return locked(func() bool {
		current.Staying--
		return current.Staying >= 0
	})
}

func untracked(key int32) bool {
	return locked(func() bool {
		for _, one := range current.Untracked {
			if one == key {
				return true
			}
		}
		return false
	})
}

func quiesceFault() types.BaseMethodFault {
	return locked(func() types.BaseMethodFault {
		if current.QuiesceFault == "" {
			return nil
		}
		return faultOf(current.QuiesceFault)
	})
}

func planTaskFault(fault types.BaseMethodFault) {
	lock.Lock()
	planned = fault
	lock.Unlock()
}

func takeTaskFault() types.BaseMethodFault {
	return locked(func() types.BaseMethodFault {
		fault := planned
		planned = nil
		return fault
	})
}

func takeAnswer() string {
	return locked(func() string {
		how := answer
		answer = ""
		return how
	})
}

// What is to be done with this call, if anything.
func matching(method string) string {
	return locked(func() string {
		for _, r := range rules {
			if r.Method != "*" && r.Method != method {
				continue
			}
			if r.Skip > 0 {
				r.Skip--
				continue
			}
			if r.Times > 0 && r.done == r.Times {
				continue
			}
			r.done++
			return r.Do
		}
		return ""
	})
}
