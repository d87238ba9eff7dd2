// What stands before the simulator: sessions, the schema, pages of the property collector, rules, the count of calls.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/soap"
)

type front struct {
	next http.Handler
	host *host

	mu         sync.Mutex
	log        []string
	violations []string
	held       int
	sessions   map[string]bool // live ones
	pages      map[string]pages
	tokens     int
	folder     int           // requests of /folder
	soap       time.Duration // that the answers took
}

type pages struct {
	before, after string
	objects       []string
	size          int
}

func (f *front) valid(r *http.Request) bool {
	cookie, err := r.Cookie(soap.SessionCookieName)
	f.mu.Lock()
	defer f.mu.Unlock()
	return err == nil && f.sessions[strings.Trim(cookie.Value, `"`)]
}

func fault(w http.ResponseWriter, kind, words string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>%s</faultstring><detail><%sFault xmlns="urn:vim25" xsi:type="%s"></%sFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`, words, kind, kind, kind)
}

func cut(w http.ResponseWriter) {
	if connection, _, err := w.(http.Hijacker).Hijack(); err == nil {
		connection.Close()
	}
}

// Until the caller is gone, or the test goes on.
func (f *front) hold(r *http.Request) {
	lock.Lock()
	on := release
	lock.Unlock()
	f.mu.Lock()
	f.held++
	f.mu.Unlock()
	select {
	case <-on:
	case <-r.Context().Done():
	}
	f.mu.Lock()
	f.held--
	f.mu.Unlock()
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/_ctl/"):
		f.control(w, r)
	case strings.HasPrefix(r.URL.Path, "/folder/"):
		f.mu.Lock()
		f.folder++
		f.mu.Unlock()
		f.host.serveFolder(w, r, f.valid(r))
	case r.URL.Path == "/sdk":
		f.serveSoap(w, r)
	default:
		f.next.ServeHTTP(w, r)
	}
}

func (f *front) serveSoap(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	method, errs := checkRequest(body)
	f.mu.Lock()
	f.log = append(f.log, method)
	f.violations = append(f.violations, errs...)
	f.mu.Unlock()
	what := matching(method)
	if what == "expire" {
		f.mu.Lock()
		f.sessions = map[string]bool{}
		f.mu.Unlock()
	}
	if errs != nil {
		fault(w, "InvalidRequest", strings.NewReplacer("<", "", "&", "").Replace(errs[0]))
		return
	}
	if method != "RetrieveServiceContent" && method != "Login" && !f.valid(r) {
		fault(w, "NotAuthenticated", "The session is not authenticated.")
		return
	}
	word, argument, _ := strings.Cut(what, ":")
	switch word {
	case "fault":
		fault(w, argument, "a fault that the test asked for: "+argument)
		return
	case "task":
		planTaskFault(faultOf(argument))
	case "answer":
		lock.Lock()
		answer = argument
		lock.Unlock()
	case "http":
		status, _ := strconv.Atoi(argument)
		http.Error(w, "<html>not SOAP</html>", status)
		return
	case "cut_before":
		cut(w)
		return
	case "hold_before":
		f.hold(r)
		cut(w)
		return
	}
	recorder := httptest.NewRecorder()
	began := time.Now()
	f.answer(recorder, r, method, body)
	f.mu.Lock()
	f.soap += time.Since(began)
	f.mu.Unlock()
	if word == "hold_after" {
		f.hold(r)
	}
	if word == "hold_after" || word == "cut_after" {
		cut(w)
		return
	}
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	w.Write(recorder.Body.Bytes())
}

var (
	maxObjectsOption = regexp.MustCompile(`<maxObjects>(\d+)</maxObjects>`)
	tokenOption      = regexp.MustCompile(`<token>([^<]*)</token>`)
)

func (f *front) answer(w *httptest.ResponseRecorder, r *http.Request, method string, body []byte) {
	switch method {
	case "ContinueRetrievePropertiesEx", "CancelRetrievePropertiesEx":
		f.continuePages(w, method, tokenOption.FindSubmatch(body))
		return
	}
	if method == "CreateCollectorForEvents" {
		createCollector(w, body)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	inner := httptest.NewRecorder()
	f.next.ServeHTTP(inner, r)
	w.Code = inner.Code
	for name, values := range inner.Header() {
		w.Header()[name] = values
	}
	text := inner.Body.String()
	switch method {
	case "Login":
		for i, cookie := range inner.Header()["Set-Cookie"] {
			name, rest, _ := strings.Cut(cookie, "=")
			value, attributes, _ := strings.Cut(rest, ";")
			if name == soap.SessionCookieName {
				f.mu.Lock()
				f.sessions[value] = true
				f.mu.Unlock()
				// vCenter quotes it, and wants it back so.
				w.Header()["Set-Cookie"][i] = fmt.Sprintf(`%s="%s";%s`, name, value, attributes)
			}
		}
	case "Logout":
		if cookie, err := r.Cookie(soap.SessionCookieName); err == nil {
			f.mu.Lock()
			delete(f.sessions, strings.Trim(cookie.Value, `"`))
			f.mu.Unlock()
		}
	case "RetrievePropertiesEx":
		size := maxObjects()
		if asked := maxObjectsOption.FindSubmatch(body); asked != nil {
			if n, _ := strconv.Atoi(string(asked[1])); size == 0 || n < size {
				size = n
			}
		}
		if size > 0 && inner.Code == http.StatusOK {
			text = f.firstPage(text, size)
		}
	}
	w.Body.WriteString(text)
}

// The answer is text: whole <objects> elements are moved to later answers.
func (f *front) firstPage(text string, size int) string {
	begin, end := strings.Index(text, "<objects>"), strings.LastIndex(text, "</objects>")
	if begin < 0 || end < begin {
		return text
	}
	end += len("</objects>")
	objects := strings.SplitAfter(text[begin:end], "</objects>")
	objects = objects[:len(objects)-1]
	return f.page(pages{before: text[:begin], after: text[end:], objects: objects, size: size})
}

func (f *front) page(p pages) string {
	if len(p.objects) <= p.size {
		return p.before + strings.Join(p.objects, "") + p.after
	}
	f.mu.Lock()
	f.tokens++
	token := fmt.Sprint("page-", f.tokens)
	told, left := p.objects[:p.size], p.objects[p.size:]
	switch pagesLie() {
	case "again":
		left = p.objects
	case "empty":
		told, left = nil, p.objects
	}
	f.pages[token] = pages{before: p.before, after: p.after, objects: left, size: p.size}
	f.mu.Unlock()
	return p.before + "<token>" + token + "</token>" + strings.Join(told, "") + p.after
}

func (f *front) continuePages(w *httptest.ResponseRecorder, method string, token [][]byte) {
	var p pages
	known := false
	if token != nil {
		f.mu.Lock()
		p, known = f.pages[string(token[1])]
		delete(f.pages, string(token[1]))
		f.mu.Unlock()
	}
	if !known {
		fault(w, "InvalidProperty", "no such token")
		return
	}
	text := f.page(p)
	w.Header().Set("Content-Type", "text/xml")
	w.Body.WriteString(strings.NewReplacer("RetrievePropertiesExResponse", method+"Response").Replace(text))
}
