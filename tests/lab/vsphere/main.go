// A vCenter, or an ESXi host, for tests: the simulator of the govmomi library with what that lacks and Hamal needs
// (README.md). It ends with its standard input.
package main

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

type host struct {
	machines   []*machine
	template   types.VirtualDisk
	datacenter string
}

type machineFlags []string

func (m *machineFlags) String() string { return strings.Join(*m, " ") }
func (m *machineFlags) Set(text string) error {
	*m = append(*m, text)
	return nil
}

func sizeOf(text string) (int64, error) {
	shift := 0
	if i := strings.IndexByte("KMGT", text[len(text)-1]); i >= 0 {
		shift, text = 10*(i+1), text[:len(text)-1]
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n << shift, err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "vsphere-sim:", err)
		os.Exit(1)
	}
}

func main() {
	var wanted machineFlags
	dir := flag.String("dir", "", "where the disks, cert.pem and log.txt are put")
	esx := flag.Bool("esx", false, "one ESXi host and no vCenter")
	more := flag.Int("more", 0, "so many further machines, for lists of many")
	flag.Var(&wanted, "vm", "NAME:SIZE[,SIZE...][:off], may be repeated")
	flag.Parse()
	current = defaults()
	check(os.MkdirAll(*dir, 0700))
	said, err := os.Create(filepath.Join(*dir, "log.txt"))
	check(err)
	log.SetOutput(said)

	model := simulator.VPX()
	model.Cluster, model.ClusterHost, model.Host = 1, 2, 0
	if *esx {
		model = simulator.ESX()
	}
	model.Machine = len(wanted) + *more
	model.Datastore = 1
	check(model.Create())
	defer model.Remove()
	addSearchIndex()
	h := &host{datacenter: "DC0"}
	if *esx {
		h.datacenter = "ha-datacenter"
	}
	all := simulator.Map.All("VirtualMachine")
	if len(all) < len(wanted) {
		check(fmt.Errorf("the model has %d machines", len(all)))
	}
	for i, text := range wanted {
		check(h.add(all[i].(*simulator.VirtualMachine), *dir, text))
	}

	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("hamal@vsphere.local", "secret & <more>")}
	own, err := newCertificate()
	check(err)
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{own}}
	server := model.Service.NewServer()
	server.Config.Handler = &front{next: server.Config.Handler, host: h, sessions: map[string]bool{}, pages: map[string]pages{}}
	raw := own.Certificate[0]
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	check(os.WriteFile(filepath.Join(*dir, "cert.pem"), certificate, 0600))
	thumbprint := strings.ReplaceAll(fmt.Sprintf("% X", sha1.Sum(raw)), " ", ":")
	fmt.Printf("endpoint=https://%s\nthumbprint=%s\nready\n", server.URL.Host, thumbprint)
	io.Copy(io.Discard, os.Stdin)
}

// Makes one of the model's machines that of the test.
func (h *host) add(vm *simulator.VirtualMachine, dir, text string) error {
	parts := strings.Split(text, ":")
	if len(parts) < 2 {
		return fmt.Errorf("not NAME:SIZE: %s", text)
	}
	v := &machine{VirtualMachine: *vm, dir: dir}
	v.Name, v.Config.Name, v.Summary.Config.Name = parts[0], parts[0], parts[0]
	v.Config.Version = "vmx-14"
	yes, no := true, false
	v.Capability.ChangeTrackingSupported = &yes
	v.Config.ChangeTrackingEnabled = &no
	if err := os.MkdirAll(filepath.Join(dir, "live", v.Name), 0700); err != nil {
		return err
	}
	for _, device := range v.Config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			h.template = *disk
		}
	}
	for _, size := range strings.Split(parts[1], ",") {
		bytes, err := sizeOf(size)
		if err != nil {
			return err
		}
		if err := v.addDisk(h.template, bytes); err != nil {
			return err
		}
	}
	if len(parts) > 2 && parts[2] == "off" {
		v.Runtime.PowerState = types.VirtualMachinePowerStatePoweredOff
		v.Summary.Runtime.PowerState = v.Runtime.PowerState
	}
	v.refresh()
	simulator.Map.Put(v)
	h.machines = append(h.machines, v)
	return nil
}
