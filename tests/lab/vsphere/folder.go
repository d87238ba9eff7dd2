// Ranged reads of a datastore's files, as /folder has them: only the -flat extent of a base disk, which is the running
// disk without a snapshot and that of the oldest snapshot with one. A disk's -00000N deltas are no plain extents.
package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// The file, and a sector more.
type longer struct{ *os.File }

func (l longer) Seek(offset int64, whence int) (int64, error) {
	at, err := l.File.Seek(offset, whence)
	if whence == io.SeekEnd {
		at += 512
	}
	return at, err
}

func (h *host) serveFolder(w http.ResponseWriter, r *http.Request, valid bool) {
	if !valid {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if locked(func() bool { return current.NoFolder }) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	query := r.URL.Query()
	datacenter, store := query.Get("dcPath"), query.Get("dsName")
	if locked(func() bool { return current.DoubleEncoded }) {
		var broken error
		if datacenter, broken = url.QueryUnescape(datacenter); broken == nil {
			store, broken = url.QueryUnescape(store)
		}
		if broken != nil || strings.Contains(r.URL.RawQuery, "dsName="+url.QueryEscape(store)) && url.QueryEscape(store) != url.QueryEscape(url.QueryEscape(store)) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
	}
	if datacenter != h.datacenter {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	wanted := "[" + store + "] " + strings.TrimPrefix(r.URL.Path, "/folder/")
	for _, v := range h.machines {
		for _, d := range v.disks {
			if strings.Replace(d.base, ".vmdk", "-flat.vmdk", 1) != wanted {
				continue
			}
			if _, flat := d.device.Backing.(*types.VirtualDiskFlatVer2BackingInfo); !flat {
				break
			}
			name := v.live(d.device.Key)
			if len(v.snaps) > 0 {
				name = frozenFile(v.dir, v.snaps[0].Self.Value, d.device.Key)
			} else if v.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
				w.WriteHeader(http.StatusInternalServerError) // the host has the file locked
				return
			}
			file, err := os.Open(name)
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			defer file.Close()
			w.Header().Set("Content-Type", "application/octet-stream")
			switch locked(func() string { return current.Folder }) {
			case "whole":
				r.Header.Del("Range")
			case "longer":
				http.ServeContent(w, r, path.Base(name), time.Time{}, longer{file})
				return
			}
			http.ServeContent(w, r, path.Base(name), time.Time{}, file)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}
