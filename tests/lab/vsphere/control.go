// /_ctl: what a test does to the server, and sees of it.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// PUT /_ctl/machine: something happens to the machine Vm; Disk is a key.
type event struct {
	Vm    string `json:"vm"`
	Do    string `json:"do"`
	Disk  int32  `json:"disk"`
	Size  int64  `json:"size"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (f *front) control(w http.ResponseWriter, r *http.Request) {
	var err error
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_ctl/") {
	case "GET state":
		json.NewEncoder(w).Encode(f.state())
		return
	case "PUT settings":
		fresh := defaults()
		if err = json.NewDecoder(r.Body).Decode(&fresh); err == nil {
			lock.Lock()
			current = fresh
			lock.Unlock()
		}
	case "PUT rules":
		var fresh []*rule
		if err = json.NewDecoder(r.Body).Decode(&fresh); err == nil {
			lock.Lock()
			rules, answer, planned = fresh, "", nil
			close(release)
			release = make(chan struct{})
			lock.Unlock()
		}
	case "PUT log": // begins anew
		f.mu.Lock()
		f.log, f.violations, f.folder, f.soap = nil, nil, 0, 0
		f.mu.Unlock()
	case "PUT machine":
		var e event
		if err = json.NewDecoder(r.Body).Decode(&e); err == nil {
			err = f.host.happen(e)
		}
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, "{}")
}

func (f *front) state() interface{} {
	type anyMap = map[string]interface{}
	f.mu.Lock()
	state := anyMap{"log": append([]string{}, f.log...), "violations": append([]string{}, f.violations...), "held": f.held,
		"sessions": len(f.sessions), "folder": f.folder, "soap_ms": f.soap.Milliseconds()}
	f.mu.Unlock()
	machines := anyMap{}
	for _, v := range f.host.machines {
		v := v
		simulator.Map.WithLock(v, func() {
			disks, snaps := []anyMap{}, []anyMap{}
			for _, d := range v.disks {
				disks = append(disks, anyMap{"key": d.device.Key, "live": v.live(d.device.Key), "size": d.device.CapacityInBytes, "file": d.base})
			}
			for _, s := range v.snaps {
				frozen := anyMap{}
				for _, d := range v.disks {
					frozen[fmt.Sprint(d.device.Key)] = frozenFile(v.dir, s.Self.Value, d.device.Key)
				}
				snaps = append(snaps, anyMap{"id": s.Self.Value, "name": s.info.Name, "description": s.info.Description, "quiesced": s.info.Quiesced, "frozen": frozen})
			}
			machines[v.Name] = anyMap{"id": v.Self.Value, "tracking": v.tracking(), "disks": disks, "snapshots": snaps, "uuid": v.Config.InstanceUuid,
				"busy": v.busy, "consolidation": v.Runtime.ConsolidationNeeded != nil && *v.Runtime.ConsolidationNeeded}
		})
	}
	state["machines"] = machines
	return state
}

func (h *host) happen(e event) (err error) {
	var v *machine
	for _, one := range h.machines {
		if one.Name == e.Vm {
			v = one
		}
	}
	if v == nil {
		return fmt.Errorf("no machine %q", e.Vm)
	}
	if e.Do == "snapshot" { // somebody else's
		_, fault := v.createSnapshot(e.Name, e.Value, false)
		if fault != nil {
			return fmt.Errorf("%T", fault)
		}
		return nil
	}
	if e.Do == "remove_snapshot" {
		for _, s := range v.snaps {
			if s.info.Name == e.Name || s.Self.Value == e.Name {
				s.remove(false)
				return nil
			}
		}
		return fmt.Errorf("no snapshot %q", e.Name)
	}
	if e.Do == "revert" || e.Do == "revert_unseen" { // by somebody; the latter, at a host that the server does not see
		for _, s := range v.snaps {
			if s.info.Name == e.Name || s.Self.Value == e.Name {
				if e.Do == "revert" {
					postTask(v, descriptionOf("revert"))
				} else {
					lock.Lock()
					was := current.SilentRevert
					current.SilentRevert = true
					lock.Unlock()
					defer func() { lock.Lock(); current.SilentRevert = was; lock.Unlock() }()
				}
				_, fault := s.revert()
				if fault != nil {
					return fmt.Errorf("%T", fault)
				}
				return nil
			}
		}
		return fmt.Errorf("no snapshot %q", e.Name)
	}
	simulator.Map.WithLock(v, func() { err = h.change(v, e) })
	return err
}

func (h *host) change(v *machine, e event) error {
	switch e.Do {
	case "reconfigure":
		v.reconfigured()
		return nil
	case "remove_disk":
		for i, d := range v.disks {
			if d.device.Key == e.Disk {
				v.disks = append(v.disks[:i:i], v.disks[i+1:]...)
				v.reconfigured()
				v.refresh()
				return nil
			}
		}
		return fmt.Errorf("no disk %d", e.Disk)
	case "forget_events":
		forgetEvents()
		return nil
	case "uuid": // a copy that was made by hand
		v.Config.InstanceUuid = e.Value
		return nil
	case "free": // of its datastore
		store := simulator.Map.Get(v.Datastore[0]).(*simulator.Datastore)
		store.Summary.FreeSpace = e.Size
		return nil
	case "destroy": // with all that it has
		for _, s := range v.snaps {
			simulator.Map.Remove(s.Self)
		}
		v.snaps, v.current = nil, nil
		v.refresh()
		simulator.Map.Remove(v.Self)
		return nil
	case "reset_tracking":
		v.resetTracking()
		return nil
	case "add_disk":
		err := v.addDisk(h.template, e.Size)
		v.refresh()
		return err
	case "power":
		v.Runtime.PowerState = types.VirtualMachinePowerState(e.Value)
		v.Summary.Runtime.PowerState = v.Runtime.PowerState
		return nil
	case "host":
		for _, other := range simulator.Map.All("HostSystem") {
			if ref := other.Reference(); ref != *v.Runtime.Host {
				v.Runtime.Host, v.Summary.Runtime.Host = &ref, &ref
				return nil
			}
		}
		return fmt.Errorf("there is one host")
	case "version":
		v.Config.Version = e.Value
		return nil
	case "no_tracking_support":
		v.Capability.ChangeTrackingSupported = new(bool)
		return nil
	}
	d := v.disk(e.Disk)
	if d == nil {
		return fmt.Errorf("no disk %d", e.Disk)
	}
	backing, flat := d.device.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	switch {
	case e.Do == "grow":
		d.device.CapacityInBytes, d.device.CapacityInKB = e.Size, e.Size>>10
		return os.Truncate(v.live(e.Disk), e.Size)
	case !flat:
		return fmt.Errorf("disk %d has another backing", e.Disk)
	case e.Do == "mode":
		backing.DiskMode = e.Value
	case e.Do == "sharing":
		backing.Sharing = e.Value
	case e.Do == "linked": // a clone that continues another machine's disk
		backing.Parent = &types.VirtualDiskFlatVer2BackingInfo{VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{
			FileName: backing.FileName[:strings.Index(backing.FileName, "]")+1] + " template/template-000001.vmdk"}, DiskMode: backing.DiskMode}
	case e.Do == "encrypt":
		backing.KeyId = &types.CryptoKeyId{KeyId: e.Value}
	case e.Do == "rdm":
		d.device.Backing = &types.VirtualDiskRawDiskMappingVer1BackingInfo{VirtualDeviceFileBackingInfo: backing.VirtualDeviceFileBackingInfo,
			CompatibilityMode: e.Value, DiskMode: backing.DiskMode, Uuid: backing.Uuid}
	case e.Do == "seflat": // a backing whose type knows no change ids
		d.device.Backing = &types.VirtualDiskFlatVer1BackingInfo{VirtualDeviceFileBackingInfo: backing.VirtualDeviceFileBackingInfo, DiskMode: backing.DiskMode}
	default:
		return fmt.Errorf("nothing called %q", e.Do)
	}
	return nil
}
