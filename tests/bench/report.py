"""Medians, ratios, and the tables for people."""
import json
import statistics


def summarise(results, data_bytes):
    """Of one full-copy case: medians, and hamal's ratio to each peer (above 1: hamal is quicker)."""
    rows = {}
    for name, result in results.items():
        seconds = statistics.median(run.seconds for run in result["runs"])
        rows[name] = {
            "durable": result["durable"],
            "seconds": seconds,
            "all_seconds": [round(run.seconds, 3) for run in result["runs"]],
            "mb_per_s": data_bytes / seconds / 1e6,
            "cpu_seconds": statistics.median(run.cpu_seconds for run in result["runs"]),
            "peak_mib": max(run.peak_kib for run in result["runs"]) / 1024,
        }
    if "hamal" in rows:
        for row in rows.values():
            row["ratio"] = row["seconds"] / rows["hamal"]["seconds"]
        rows["hamal"]["time"] = where_time_goes(results["hamal"]["runs"])
    return rows


def where_time_goes(runs):
    """Medians of what hamal-sync says of itself; the waits are sums over its workers."""
    disks = [json.loads(run.stdout)["disks"][0] for run in runs]
    return {
        "copy_seconds": statistics.median(disk["copy_seconds"] for disk in disks),
        "flush_seconds": statistics.median(disk["flush_seconds"] for disk in disks),
        "other_seconds": statistics.median(
            run.seconds - disk["copy_seconds"] - disk["flush_seconds"]
            for run, disk in zip(runs, disks)),
        "source_seconds": statistics.median(disk["waited"]["source_seconds"] for disk in disks),
        "target_seconds": statistics.median(disk["waited"]["target_seconds"] for disk in disks),
        "workers": disks[0]["readers"],
    }


def copy_table(name, rows):
    print(f"\n{name}")
    print(f"  {'':24}{'durable':>8}{'seconds':>9}{'MB/s':>8}{'cpu s':>8}{'MiB':>7}{'ratio':>8}")
    for rival, row in sorted(rows.items(), key=lambda item: item[1]["seconds"]):
        ratio = f"{row['ratio']:8.2f}" if "ratio" in row else "       -"
        print(f"  {rival:24}{'yes' if row['durable'] else 'no':>8}{row['seconds']:9.2f}"
              f"{row['mb_per_s']:8.0f}{row['cpu_seconds']:8.2f}{row['peak_mib']:7.0f}{ratio}")
    if "hamal" in rows:
        time = rows["hamal"]["time"]
        print(f"  hamal: copy {time['copy_seconds']:.2f} s ({time['workers']} workers: source "
              f"{time['source_seconds']:.2f} s, target {time['target_seconds']:.2f} s), flush "
              f"{time['flush_seconds']:.2f} s, the rest {time['other_seconds']:.2f} s")


def incremental_table(name, row):
    print(f"\n{name}: {row['disk_bytes'] / 2**30:.0f} GiB, granularity {row['granularity']}")
    print(f"  dirty {row['dirty_bytes'] / 1e6:.1f} MB, read {row['read_bytes'] / 1e6:.1f} MB, "
          f"read/dirty at most {row['read_per_dirty']:.4f}")
    print(f"  {row['seconds']:.2f} s in all, peak memory {row['peak_mib']:.0f} MiB")
    for tool, values in row["tools"].items():
        print(f"    {tool:24}{values['seconds']:8.2f} s{values['peak_mib']:8.0f} MiB")
