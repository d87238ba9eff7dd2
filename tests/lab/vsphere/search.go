// What the library's index of machines lacks.
package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type searchIndex struct {
	simulator.SearchIndex
}

func (s *searchIndex) FindAllByUuid(req *types.FindAllByUuid) soap.HasFault {
	res := &types.FindAllByUuidResponse{}
	for _, one := range simulator.Map.All("VirtualMachine") {
		var config *types.VirtualMachineConfigInfo
		switch vm := one.(type) {
		case *machine:
			config = vm.Config
		case *simulator.VirtualMachine:
			config = vm.Config
		}
		if config == nil || !req.VmSearch {
			continue
		}
		uuid := config.Uuid
		if req.InstanceUuid != nil && *req.InstanceUuid {
			uuid = config.InstanceUuid
		}
		if uuid == req.Uuid {
			res.Returnval = append(res.Returnval, one.Reference())
		}
	}
	return &methods.FindAllByUuidBody{Res: res}
}

func addSearchIndex() {
	content := simulator.Map.Get(types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}).(*simulator.ServiceInstance).Content
	index := &searchIndex{}
	index.SearchIndex.SearchIndex = mo.SearchIndex{Self: *content.SearchIndex}
	simulator.Map.Put(index)
}
