// QueryChangedDiskAreas over the frozen files, and the wrong answers that a rule asks for.
package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (v *machine) QueryChangedDiskAreas(ctx *simulator.Context, req *types.QueryChangedDiskAreas) soap.HasFault {
	body := &methods.QueryChangedDiskAreasBody{}
	invalid := func(what string) soap.HasFault {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: "+what, &types.InvalidArgument{InvalidProperty: what})
		return body
	}
	d := v.disk(req.DeviceKey)
	if d == nil {
		return invalid("deviceKey")
	}
	if req.Snapshot == nil {
		return invalid("snapshot") // works on a machine that is off alone
	}
	s, ok := simulator.Map.Get(*req.Snapshot).(*snapshot)
	if !ok || s.vm != v {
		return invalid("snapshot")
	}
	var capacity int64
	for _, device := range s.Config.Hardware.Device {
		if shown, ok := device.(*types.VirtualDisk); ok && shown.Key == req.DeviceKey {
			capacity = shown.CapacityInBytes
		}
	}
	if req.StartOffset < 0 || req.StartOffset >= capacity {
		return invalid("startOffset")
	}
	base, known := d.history[req.ChangeId]
	if s.ids[req.DeviceKey] == "" || (req.ChangeId != "*" && !known) {
		body.Fault_ = simulator.Fault("Error caused by file "+d.base, &types.FileFault{File: d.base})
		return body
	}
	changed := map[int64]bool{}
	now := s.frozen[req.DeviceKey]
	for block, hash := range now {
		if base[block] != hash {
			changed[block] = true
		}
	}
	for block := range base {
		if _, there := now[block]; !there {
			changed[block] = true
		}
	}
	if count := manyAreas(); count > 0 {
		changed = map[int64]bool{}
		for i := int64(0); i < count; i++ {
			changed[i*(capacity/blockSize/count)] = true
		}
	}
	info := types.DiskChangeInfo{StartOffset: req.StartOffset}
	end := capacity
	for _, block := range sortedBlocks(changed) {
		offset := block * blockSize
		if offset < req.StartOffset {
			continue
		}
		length := int64(blockSize)
		if offset+length > capacity {
			length = capacity - offset
		}
		if n := len(info.ChangedArea); n > 0 && info.ChangedArea[n-1].Start+info.ChangedArea[n-1].Length == offset {
			info.ChangedArea[n-1].Length += length
			continue
		}
		if len(info.ChangedArea) == maxAreas() {
			end = offset
			break
		}
		info.ChangedArea = append(info.ChangedArea, types.DiskChangeExtent{Start: offset, Length: length})
	}
	info.Length = end - info.StartOffset
	lie(takeAnswer(), &info, capacity)
	body.Res = &types.QueryChangedDiskAreasResponse{Returnval: info}
	return body
}

func lie(how string, info *types.DiskChangeInfo, capacity int64) {
	area := func(start, length int64) {
		info.ChangedArea = append(info.ChangedArea, types.DiskChangeExtent{Start: start, Length: length})
	}
	switch how {
	case "":
	case "no_length":
		info.Length = 0
	case "negative_length":
		info.Length = -blockSize
	case "beyond":
		area(capacity, blockSize)
	case "negative_area":
		info.ChangedArea = nil
		area(-blockSize, blockSize)
	case "overflow":
		info.ChangedArea = nil
		area(blockSize, 9223372036854775807)
	case "overlap":
		info.ChangedArea = nil
		area(0, 2*blockSize)
		area(blockSize, blockSize)
	case "backwards":
		info.ChangedArea = nil
		area(blockSize, blockSize)
		area(0, blockSize)
	case "empty_area":
		info.ChangedArea = nil
		area(0, 0)
	case "other_start":
		info.StartOffset += blockSize
	case "too_long":
		info.Length = capacity + blockSize
	case "outside_answer":
		info.ChangedArea = nil
		info.Length = blockSize
		area(info.StartOffset+4*blockSize, blockSize)
	case "empty_first": // nothing in the first part, the rest as it is: not the end
		info.ChangedArea = nil
		info.Length = blockSize
	default:
		panic(fmt.Sprint("no such answer: ", how))
	}
}
