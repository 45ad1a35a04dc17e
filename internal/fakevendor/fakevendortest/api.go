package fakevendortest

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"sync"
)

// Call is a kind of API call.
type Call string

// The calls that there are.
const (
	CallResult        Call = "result"         // GET /result/{job}
	CallDelete        Call = "delete"         // DELETE /result/{job}
	CallProcess       Call = "process"        // POST /process
	CallProcessResult Call = "process_result" // POST /process_result
	CallMe            Call = "me"             // GET /me
)

// message is a response without a result.
type message struct {
	Message string `json:"message"`
	Status  State  `json:"status,omitempty"`
	Job     string `json:"job,omitempty"`
	Code    string `json:"code,omitempty"`
}

// result is the response about a job.
type result struct {
	Status    State   `json:"status"`
	Job       string  `json:"job"`
	ResultURL *string `json:"result_url"`
}

// routeAPI adds the API to the routes.
func (v *Vendor) routeAPI() {
	for _, route := range []struct {
		pattern string
		call    Call
		serve   http.HandlerFunc
	}{
		{"GET /rest_api/result/{job}", CallResult, v.serveResult},
		{"DELETE /rest_api/result/{job}", CallDelete, v.serveDelete},
		{"POST /rest_api/process", CallProcess, v.serveProcess},
		{"POST /rest_api/process_result", CallProcessResult, v.serveProcessResult},
		{"GET /rest_api/me", CallMe, v.serveMe},
	} {
		v.HandleFunc(route.pattern, v.serveAPI(route.call, route.serve))
	}
}

// serveAPI counts a call, applies its fault, and checks the key.
func (v *Vendor) serveAPI(call Call, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		number := v.calls.count(call)
		found := v.job(r.PathValue("job"))
		if found != nil {
			found.looks.Add(1)
		}
		faultyCall{w, r, v.apiFaultOf(call, number, found)}.serve(func(w http.ResponseWriter, r *http.Request) {
			if v.admits(w, r) {
				serve(w, r)
			}
		})
	}
}

// admits checks the key. Like the real one it answers 404 to a wrong key.
func (v *Vendor) admits(w http.ResponseWriter, r *http.Request) bool {
	switch key := r.Header.Get("x-api-key"); {
	case key == "":
		reply(w, http.StatusForbidden, message{Message: "No x-api-key header is provided"})
	case subtle.ConstantTimeCompare([]byte(key), []byte(v.options.APIKey)) != 1:
		reply(w, http.StatusNotFound, message{Message: "No user found for provided token"})
	default:
		return true
	}
	return false
}

// serveResult answers GET /result/{job} with the traps of the real one: a failed job
// is a 500, and a removed image a 404 whose status is complete.
func (v *Vendor) serveResult(w http.ResponseWriter, r *http.Request) {
	found := v.job(r.PathValue("job"))
	if found == nil {
		replyNotFound(w)
		return
	}
	status, body := found.answer()
	reply(w, status, body)
}

// serveDelete removes a job's images. The answer of the real one is unknown.
func (v *Vendor) serveDelete(w http.ResponseWriter, r *http.Request) {
	found := v.job(r.PathValue("job"))
	switch {
	case found == nil, found.now() == Forged:
		replyNotFound(w)
	case found.now() == Deleted:
		replyDeleted(w)
	default:
		found.become(Deleted)
		reply(w, http.StatusOK, message{Message: "Image deleted", Job: found.ID})
	}
}

// serveMe describes the account and reveals the key, as the real one does.
func (v *Vendor) serveMe(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"username": "fake@example.com", "credits": v.account.left(), "api_key": v.options.APIKey, "webhooks": map[string]string{},
	})
}

func replyNotFound(w http.ResponseWriter) {
	reply(w, http.StatusNotFound, message{Message: "Job not found"})
}

func replyDeleted(w http.ResponseWriter) {
	reply(w, http.StatusNotFound, message{Message: "Image deleted", Status: Complete})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// callCounts counts calls of the API by their kind.
type callCounts struct {
	mutex sync.Mutex
	calls map[Call]int64
}

// count counts one call and returns its number, from 1.
func (c *callCounts) count(call Call) int64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.calls[call]++
	return c.calls[call]
}

func (c *callCounts) of(call Call) int64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.calls[call]
}

// Calls counts the calls of one kind, whatever their answers.
func (v *Vendor) Calls(call Call) int64 { return v.calls.of(call) }

// Looks counts the calls of the API about one job.
func (v *Vendor) Looks(id string) int64 {
	if found := v.job(id); found != nil {
		return found.looks.Load()
	}
	return 0
}
