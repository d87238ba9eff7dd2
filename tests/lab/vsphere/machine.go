// A virtual machine with disks that are real files. The running disks are DIR/live/VM/KEY.img, which a test writes as a
// guest does; a snapshot's are DIR/frozen/SNAPSHOT/KEY.img, which nothing changes.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type disk struct {
	device  *types.VirtualDisk
	base    string // the name of its file without a snapshot
	epoch   string
	history map[string]blockMap // by change id
	seq     int
}

type machine struct {
	simulator.VirtualMachine // by value and first: the simulator looks there for what it shows
	dir                      string
	disks                    []*disk
	snaps                    []*snapshot // in the order they were made
	current                  *snapshot   // on which it goes on
	version                  int         // of its configuration
	stunned                  bool        // since change tracking was enabled
	busy                     bool
}

type snapshot struct {
	simulator.VirtualMachineSnapshot
	vm     *machine
	info   types.VirtualMachineSnapshotTree
	parent *snapshot
	frozen map[int32]blockMap // by key
	ids    map[int32]string   // change ids, by key
}

func (v *machine) tracking() bool {
	return v.Config.ChangeTrackingEnabled != nil && *v.Config.ChangeTrackingEnabled
}

func (v *machine) live(key int32) string {
	return filepath.Join(v.dir, "live", v.Name, fmt.Sprintf("%d.img", key))
}

func frozenFile(dir, moref string, key int32) string {
	return filepath.Join(dir, "frozen", moref, fmt.Sprintf("%d.img", key))
}

func (v *machine) disk(key int32) *disk {
	for _, d := range v.disks {
		if d.device.Key == key {
			return d
		}
	}
	return nil
}

func newEpoch(n int) string {
	return fmt.Sprintf("52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b %02x %02x", n/256%256, n%256)
}

var epochs = 0

// Adds a disk of that size and makes its file.
func (v *machine) addDisk(template types.VirtualDisk, size int64) error {
	key := int32(2000 + len(v.disks))
	epochs++
	backing := *template.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	store := backing.FileName[:strings.Index(backing.FileName, "]")+1]
	name := v.Name
	if len(v.disks) > 0 {
		name += fmt.Sprintf("_%d", len(v.disks))
	}
	backing.FileName = fmt.Sprintf("%s %s/%s.vmdk", store, v.Name, name)
	backing.Uuid = fmt.Sprintf("6000C29%d-0000-0000-0000-%012d", len(v.disks), epochs)
	device := template
	unit := int32(len(v.disks))
	device.Key, device.UnitNumber, device.Backing = key, &unit, &backing
	device.DeviceInfo = &types.Description{Label: fmt.Sprintf("Hard disk %d", len(v.disks)+1), Summary: fmt.Sprint(size)}
	device.CapacityInBytes, device.CapacityInKB = size, size>>10
	device.DiskObjectId = fmt.Sprintf("1-%d", key)
	file, err := os.Create(v.live(key))
	if err != nil {
		return err
	}
	defer file.Close()
	v.disks = append(v.disks, &disk{device: &device, base: backing.FileName, epoch: newEpoch(epochs), history: map[string]blockMap{}})
	return file.Truncate(size)
}

// Puts the disks, as they are now, among the machine's devices.
func (v *machine) refresh() {
	var devices []types.BaseVirtualDevice
	for _, device := range v.Config.Hardware.Device {
		if _, ok := device.(*types.VirtualDisk); !ok {
			devices = append(devices, device)
		}
	}
	for _, d := range v.disks {
		if backing, ok := d.device.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
			backing.FileName = d.base
			if v.current != nil {
				backing.FileName = strings.Replace(d.base, ".vmdk", fmt.Sprintf("-%06d.vmdk", len(v.snaps)), 1)
			}
		}
		devices = append(devices, d.device)
	}
	v.Config.Hardware.Device = devices
	v.Snapshot = nil
	if len(v.snaps) > 0 {
		v.Snapshot = &types.VirtualMachineSnapshotInfo{RootSnapshotList: v.tree(nil)}
		if v.current != nil {
			at := v.current.Self
			v.Snapshot.CurrentSnapshot = &at
		}
	}
}

func (v *machine) tree(parent *snapshot) (list []types.VirtualMachineSnapshotTree) {
	for _, s := range v.snaps {
		if s.parent == parent {
			item := s.info
			item.ChildSnapshotList = v.tree(s)
			list = append(list, item)
		}
	}
	return
}

func copyBacking(backing types.BaseVirtualDeviceBackingInfo) types.BaseVirtualDeviceBackingInfo {
	switch b := backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		c := *b
		return &c
	case *types.VirtualDiskSparseVer2BackingInfo:
		c := *b
		return &c
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		c := *b
		return &c
	}
	return backing
}

func setChangeId(backing types.BaseVirtualDeviceBackingInfo, id string) {
	switch b := backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		b.ChangeId = id
	case *types.VirtualDiskSparseVer2BackingInfo:
		b.ChangeId = id
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		b.ChangeId = id
	}
}

// Runs as a task that takes its time, unless the machine is busy or a rule says that it fails.
func (v *machine) task(entity mo.Reference, name string, run func() (types.AnyType, types.BaseMethodFault)) (types.ManagedObjectReference, *soap.Fault) {
	if v.busy {
		return types.ManagedObjectReference{}, simulator.Fault("The operation is not allowed in the current state: another task is in progress.", &types.TaskInProgress{})
	}
	v.busy = true
	planned := takeTaskFault()
	started := make(chan struct{})
	t := simulator.CreateTask(entity, name, func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		<-started
		defer simulator.Map.WithLock(v, func() { v.busy = false })
		time.Sleep(taskDelay())
		if planned != nil {
			return nil, planned
		}
		return run()
	})
	postTask(v, descriptionOf(name))
	// The entity of what a snapshot does is its machine, too.
	t.Info.Entity, t.Info.EntityName = &v.Self, v.Name
	recent := append([]types.ManagedObjectReference{t.Self}, v.RecentTask...)
	if len(recent) > 5 {
		recent = recent[:5]
	}
	v.RecentTask = recent
	go t.Run()
	close(started)
	return t.Self, nil
}

// The words by which the log of events calls it.
func descriptionOf(task string) string {
	if task == "revert" {
		return "vm.Snapshot.revert"
	}
	return "VirtualMachine." + task
}

func (v *machine) CreateSnapshotTask(req *types.CreateSnapshot_Task) soap.HasFault {
	body := &methods.CreateSnapshot_TaskBody{}
	if req.Quiesce && quiesceFault() != nil {
		planTaskFault(quiesceFault())
	}
	ref, fault := v.task(v, "createSnapshot", func() (types.AnyType, types.BaseMethodFault) {
		return v.createSnapshot(req.Name, req.Description, req.Quiesce)
	})
	if fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.CreateSnapshot_TaskResponse{Returnval: ref}
	return body
}

var snapshotCount = int32(0)

func (v *machine) createSnapshot(name, description string, quiesced bool) (types.AnyType, types.BaseMethodFault) {
	snapshotCount++
	s := &snapshot{vm: v, frozen: map[int32]blockMap{}, ids: map[int32]string{}}
	s.Self = types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: fmt.Sprintf("snapshot-%d", 1000+snapshotCount)}
	s.Vm = v.Self
	if err := os.MkdirAll(filepath.Join(v.dir, "frozen", s.Self.Value), 0700); err != nil {
		return nil, &types.FileFault{File: err.Error()}
	}
	for _, d := range v.disks {
		blocks, err := freeze(v.live(d.device.Key), frozenFile(v.dir, s.Self.Value, d.device.Key))
		if err != nil {
			return nil, &types.FileFault{File: err.Error()}
		}
		s.frozen[d.device.Key] = blocks
	}
	simulator.Map.WithLock(v, func() {
		s.Config = *v.Config
		s.Config.Hardware.Device = nil
		for _, device := range v.Config.Hardware.Device {
			virtual, ok := device.(*types.VirtualDisk)
			if !ok {
				s.Config.Hardware.Device = append(s.Config.Hardware.Device, device)
				continue
			}
			d := v.disk(virtual.Key)
			shown := *virtual
			shown.Backing = copyBacking(virtual.Backing)
			if v.tracking() && v.stunned && !untracked(virtual.Key) {
				d.seq++
				id := fmt.Sprintf("%s/%d", d.epoch, d.seq)
				setChangeId(shown.Backing, id)
				d.history[id] = s.frozen[virtual.Key]
				s.ids[virtual.Key] = id
			}
			s.Config.Hardware.Device = append(s.Config.Hardware.Device, &shown)
		}
		s.info = types.VirtualMachineSnapshotTree{Snapshot: s.Self, Vm: v.Self, Name: name, Description: description,
			Id: snapshotCount, CreateTime: time.Now().UTC(), State: v.Runtime.PowerState, Quiesced: quiesced}
		s.parent = v.current
		v.current = s
		v.snaps = append(v.snaps, s)
		v.stunned = v.tracking()
		v.refresh()
	})
	simulator.Map.Put(s)
	return s.Self, nil
}

func (s *snapshot) RemoveSnapshotTask(ctx *simulator.Context, req *types.RemoveSnapshot_Task) soap.HasFault {
	body := &methods.RemoveSnapshot_TaskBody{}
	var fault *soap.Fault
	var ref types.ManagedObjectReference
	simulator.Map.WithLock(s.vm, func() {
		ref, fault = s.vm.task(s, "removeSnapshot", func() (types.AnyType, types.BaseMethodFault) { return s.remove(req.RemoveChildren) })
	})
	if fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.RemoveSnapshot_TaskResponse{Returnval: ref}
	return body
}

func (s *snapshot) remove(children bool) (types.AnyType, types.BaseMethodFault) {
	v := s.vm
	gone := map[*snapshot]bool{s: true}
	if stays() {
		return nil, nil // the task succeeds, and the tree has it still
	}
	simulator.Map.WithLock(v, func() {
		var left []*snapshot
		for _, other := range v.snaps {
			if children && gone[other.parent] {
				gone[other] = true
			}
			if other.parent == s && !children {
				other.parent = s.parent
			}
			if !gone[other] {
				left = append(left, other)
			}
		}
		v.snaps = left
		for v.current != nil && gone[v.current] {
			v.current = v.current.parent
		}
		v.stunned = v.tracking()
		needed := leaveConsolidation()
		v.Runtime.ConsolidationNeeded = &needed
		v.refresh()
	})
	for one := range gone {
		simulator.Map.Remove(one.Self)
		if !keepFrozen() {
			os.RemoveAll(filepath.Join(v.dir, "frozen", one.Self.Value))
		}
	}
	return nil, nil
}

func (v *machine) RemoveAllSnapshotsTask(ctx *simulator.Context, req *types.RemoveAllSnapshots_Task) soap.HasFault {
	// Whoever asks for this would end the snapshots of others.
	return &methods.RemoveAllSnapshots_TaskBody{Fault_: simulator.Fault("not here", &types.NotSupported{})}
}

func (v *machine) ConsolidateVMDisksTask(req *types.ConsolidateVMDisks_Task) soap.HasFault {
	body := &methods.ConsolidateVMDisks_TaskBody{}
	ref, fault := v.task(v, "consolidateDisks", func() (types.AnyType, types.BaseMethodFault) {
		simulator.Map.WithLock(v, func() {
			needed := false
			v.Runtime.ConsolidationNeeded = &needed
		})
		return nil, nil
	})
	if fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.ConsolidateVMDisks_TaskResponse{Returnval: ref}
	return body
}

func (v *machine) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	body := &methods.ReconfigVM_TaskBody{}
	if req.Spec.ChangeVersion != "" && req.Spec.ChangeVersion != v.Config.ChangeVersion {
		body.Fault_ = simulator.Fault("The object has already been modified", &types.ConcurrentAccess{})
		return body
	}
	ref, fault := v.task(v, "reconfigure", func() (types.AnyType, types.BaseMethodFault) {
		simulator.Map.WithLock(v, func() {
			v.reconfigured()
			if req.Spec.ChangeTrackingEnabled != nil && !ignoreTracking() {
				was := v.tracking()
				v.Config.ChangeTrackingEnabled = req.Spec.ChangeTrackingEnabled
				if !was && v.tracking() {
					// A running machine tracks from its next stun on; so does, here, the snapshot that stuns it.
					v.stunned = !stunNeeded()
				}
			}
		})
		return nil, nil
	})
	if fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.ReconfigVM_TaskResponse{Returnval: ref}
	return body
}

// Changes tracked until now are forgotten.
func (v *machine) resetTracking() {
	for _, d := range v.disks {
		epochs++
		d.epoch, d.seq, d.history = newEpoch(epochs), 0, map[string]blockMap{}
	}
}

func sortedBlocks(blocks map[int64]bool) []int64 {
	list := make([]int64, 0, len(blocks))
	for block := range blocks {
		list = append(list, block)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}
