// What a real server checks before it looks at a request: that the elements of a call are those of its type, in the
// order of its type, none missing, values of the right kind. The library's simulator takes anything.
package main

import (
	"encoding/xml"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

const vimSpace = "urn:vim25"
const instanceSpace = "http://www.w3.org/2001/XMLSchema-instance"

type node struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Kids    []node     `xml:",any"`
	Text    string     `xml:",chardata"`
}

type field struct {
	name     string
	kind     reflect.Type
	required bool
}

// Those of the base type come first, as an extension in the schema has them.
func fieldsOf(t reflect.Type) (all []field) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		if f.Anonymous {
			all = append(all, fieldsOf(f.Type)...)
			continue
		}
		tag := strings.Split(f.Tag.Get("xml"), ",")
		if tag[0] == "" {
			continue
		}
		optional := strings.Contains(f.Tag.Get("xml"), "omitempty")
		all = append(all, field{name: tag[0], kind: f.Type, required: !optional && f.Type.Kind() != reflect.Ptr})
	}
	return
}

func checkValue(path, text string, t reflect.Type) []string {
	var err error
	switch t.Kind() {
	case reflect.Bool:
		_, err = strconv.ParseBool(text)
	case reflect.Int32, reflect.Int16, reflect.Int8:
		_, err = strconv.ParseInt(text, 10, 32)
	case reflect.Int64:
		_, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		return []string{fmt.Sprintf("%s: %q is no %s", path, text, t.Kind())}
	}
	return nil
}

func checkNode(path string, n node, t reflect.Type) (errs []string) {
	for t.Kind() == reflect.Ptr || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if n.XMLName.Space != vimSpace {
		errs = append(errs, fmt.Sprintf("%s: in the namespace %q", path, n.XMLName.Space))
	}
	for _, a := range n.Attrs {
		if a.Name.Local != "type" || a.Name.Space != instanceSpace {
			continue
		}
		if x, ok := types.TypeFunc()(a.Value[strings.Index(a.Value, ":")+1:]); ok {
			t = x
		} else {
			errs = append(errs, path+": unknown xsi:type "+a.Value)
		}
	}
	if t == reflect.TypeOf(types.ManagedObjectReference{}) {
		if n.Text == "" {
			errs = append(errs, path+": names no object")
		}
		return
	}
	if t.Kind() != reflect.Struct || t.PkgPath() == "time" {
		return append(errs, checkValue(path, strings.TrimSpace(n.Text), t)...)
	}
	order := fieldsOf(t)
	at := 0
	seen := map[string]bool{}
	for _, kid := range n.Kids {
		name := kid.XMLName.Local
		place := -1
		for i, f := range order {
			if f.name == name {
				place = i
			}
		}
		if place < 0 {
			errs = append(errs, fmt.Sprintf("%s/%s: not a field of %s", path, name, t.Name()))
			continue
		}
		if place < at {
			errs = append(errs, fmt.Sprintf("%s/%s: out of sequence", path, name))
		} else {
			at = place
		}
		if seen[name] && order[place].kind.Kind() != reflect.Slice {
			errs = append(errs, fmt.Sprintf("%s/%s: twice", path, name))
		}
		seen[name] = true
		errs = append(errs, checkNode(path+"/"+name, kid, order[place].kind)...)
	}
	for _, f := range order {
		if f.required && !seen[f.name] {
			errs = append(errs, fmt.Sprintf("%s/%s: missing", path, f.name))
		}
	}
	return
}

// The call in an envelope, and what is wrong with it.
func checkRequest(body []byte) (method string, errs []string) {
	var envelope node
	if err := xml.Unmarshal(body, &envelope); err != nil {
		return "", []string{err.Error()}
	}
	for _, part := range envelope.Kids {
		if part.XMLName.Local != "Body" {
			continue
		}
		for _, call := range part.Kids {
			method = call.XMLName.Local
			t, ok := types.TypeFunc()(method)
			if !ok {
				errs = append(errs, "unknown method "+method)
				continue
			}
			errs = append(errs, checkNode(method, call, t)...)
		}
	}
	if method == "" {
		errs = append(errs, "no call in the envelope")
	}
	return
}
