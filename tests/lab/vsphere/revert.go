// Going back to a snapshot: contents, disks, change tracking and configuration become what they were then. The sequence of the
// change ids goes back with them, and so ids that were given after the snapshot are given again, for other contents: what is
// asked about an old one is answered about the new one of that name.
package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func sequenceOf(id string) int {
	n, _ := strconv.Atoi(id[strings.LastIndexByte(id, '/')+1:])
	return n
}

func (s *snapshot) revert() (types.AnyType, types.BaseMethodFault) {
	v := s.vm
	var broken error
	simulator.Map.WithLock(v, func() {
		var disks []*disk
		for _, d := range v.disks {
			key := d.device.Key
			if _, held := s.frozen[key]; !held {
				continue // it was added later
			}
			if _, err := freeze(frozenFile(v.dir, s.Self.Value, key), v.live(key)); err != nil {
				broken = err
			}
			d.seq = 0
			if s.ids[key] != "" {
				d.seq = sequenceOf(s.ids[key])
			}
			for id := range d.history {
				if sequenceOf(id) > d.seq {
					delete(d.history, id)
				}
			}
			disks = append(disks, d)
		}
		v.disks = disks
		v.Config.ChangeTrackingEnabled = s.Config.ChangeTrackingEnabled
		v.current = s
		v.stunned = v.tracking()
		v.reconfigured()
		v.refresh()
	})
	if broken != nil {
		return nil, &types.FileFault{File: broken.Error()}
	}
	if !locked(func() bool { return current.SilentRevert }) {
		post(v, &types.EventEx{EventTypeId: "com.vmware.vc.vm.VmStateRevertedToSnapshot", Message: s.info.Name})
	}
	return nil, nil
}

func (s *snapshot) RevertToSnapshotTask(req *types.RevertToSnapshot_Task) soap.HasFault {
	body := &methods.RevertToSnapshot_TaskBody{}
	var fault *soap.Fault
	var ref types.ManagedObjectReference
	simulator.Map.WithLock(s.vm, func() {
		ref, fault = s.vm.task(s, "revert", func() (types.AnyType, types.BaseMethodFault) { return s.revert() })
	})
	if fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.RevertToSnapshot_TaskResponse{Returnval: ref}
	return body
}

func (v *machine) RevertToCurrentSnapshotTask(req *types.RevertToCurrentSnapshot_Task) soap.HasFault {
	body := &methods.RevertToCurrentSnapshot_TaskBody{}
	if v.current == nil {
		body.Fault_ = simulator.Fault("there is none", &types.NotFound{})
		return body
	}
	s := v.current
	ref, fault := v.task(v, "revertToCurrentSnapshot", func() (types.AnyType, types.BaseMethodFault) { return s.revert() })
	if fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.RevertToCurrentSnapshot_TaskResponse{Returnval: ref}
	return body
}

// As anything that somebody reconfigures does.
func (v *machine) reconfigured() {
	v.version++
	v.Config.ChangeVersion = fmt.Sprint("version-", v.version)
}
