// The log of events: what happened to a machine, in order. A snapshot that a machine was reverted to leaves its mark here
// alone.
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const latestPage = 10

var happened struct {
	sync.Mutex
	key        int32
	collectors int
	list       []types.BaseEvent // the oldest first
}

func post(v *machine, e types.BaseEvent) {
	happened.Lock()
	defer happened.Unlock()
	happened.key++
	one := e.GetEvent()
	one.Key, one.ChainId, one.CreatedTime, one.UserName = happened.key, happened.key, time.Now().UTC(), "lab"
	one.Vm = &types.VmEventArgument{EntityEventArgument: types.EntityEventArgument{Name: v.Name}, Vm: v.Self}
	happened.list = append(happened.list, e)
}

func postTask(v *machine, description string) {
	post(v, &types.TaskEvent{Info: types.TaskInfo{Key: "task", Task: types.ManagedObjectReference{Type: "Task", Value: "task"},
		DescriptionId: description, State: types.TaskInfoStateQueued, QueueTime: time.Now().UTC(), Reason: &types.TaskReasonUser{UserName: "lab"}}})
}

// As a server does with those that are older than it keeps.
func forgetEvents() {
	happened.Lock()
	happened.list = nil
	happened.Unlock()
}

type collector struct {
	mo.EventHistoryCollector
	events []types.BaseEvent
	at     int
}

var (
	entityOption = regexp.MustCompile(`<entity type="VirtualMachine">([^<]*)</entity>`)
	beginOption  = regexp.MustCompile(`<beginTime>([^<]*)</beginTime>`)
)

// CreateCollectorForEvents of the events of one machine, from a time on.
func createCollector(w *httptest.ResponseRecorder, body []byte) {
	entity, begin := entityOption.FindSubmatch(body), beginOption.FindSubmatch(body)
	if entity == nil {
		fault(w, "InvalidArgument", "the simulator has events of machines alone")
		return
	}
	var from time.Time
	if begin != nil {
		var err error
		if from, err = time.Parse(time.RFC3339Nano, string(begin[1])); err != nil {
			fault(w, "InvalidArgument", "beginTime")
			return
		}
	}
	c := &collector{}
	happened.Lock()
	happened.collectors++
	c.Self = types.ManagedObjectReference{Type: "EventHistoryCollector", Value: fmt.Sprint("collector-", happened.collectors)}
	for _, e := range happened.list {
		if one := e.GetEvent(); one.Vm.Vm.Value == string(entity[1]) && !one.CreatedTime.Before(from) {
			c.events = append(c.events, e)
		}
	}
	happened.Unlock()
	for i := len(c.events) - 1; i >= 0 && len(c.LatestPage) < latestPage; i-- {
		c.LatestPage = append(c.LatestPage, c.events[i])
	}
	simulator.Map.Put(c)
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusOK)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><CreateCollectorForEventsResponse xmlns="urn:vim25"><returnval type="EventHistoryCollector">%s</returnval></CreateCollectorForEventsResponse></soapenv:Body></soapenv:Envelope>`, c.Self.Value)
}

func (c *collector) RewindCollector(req *types.RewindCollector) soap.HasFault {
	c.at = 0
	return &methods.RewindCollectorBody{Res: &types.RewindCollectorResponse{}}
}

func (c *collector) ReadNextEvents(req *types.ReadNextEvents) soap.HasFault {
	if req.MaxCount <= 0 || req.MaxCount > 1000 {
		return &methods.ReadNextEventsBody{Fault_: simulator.Fault("maxCount", &types.InvalidArgument{InvalidProperty: "maxCount"})}
	}
	count := int(req.MaxCount)
	if most := locked(func() int { return current.MaxEvents }); most > 0 && most < count {
		count = most
	}
	if left := len(c.events) - c.at; left < count {
		count = left
	}
	c.at += count
	return &methods.ReadNextEventsBody{Res: &types.ReadNextEventsResponse{Returnval: c.events[c.at-count : c.at]}}
}

func (c *collector) DestroyCollector(req *types.DestroyCollector) soap.HasFault {
	simulator.Map.Remove(c.Self)
	return &methods.DestroyCollectorBody{Res: &types.DestroyCollectorResponse{}}
}
