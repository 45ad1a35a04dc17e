package fakevendor

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
)

// message is what the API says when it has nothing better.
type message struct {
	Message string `json:"message"`
	Status  State  `json:"status,omitempty"`
	Job     string `json:"job,omitempty"`
}

// result is what the API says of a job.
type result struct {
	Status    State  `json:"status"`
	Job       string `json:"job"`
	ResultURL string `json:"result_url"`
}

// serveResult answers GET /rest_api/result/{job} with the traps of the real one: a wrong key is
// a 404, a failed job a 500, and a removed image a 404 whose status is complete.
func (v *Vendor) serveResult(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("x-api-key")
	if key == "" {
		reply(w, http.StatusForbidden, message{Message: "No x-api-key header is provided"})
		return
	}
	if subtle.ConstantTimeCompare([]byte(key), []byte(v.options.APIKey)) != 1 {
		reply(w, http.StatusNotFound, message{Message: "No user found for provided token"})
		return
	}
	found := v.job(r.PathValue("job"))
	if found == nil {
		reply(w, http.StatusNotFound, message{Message: "Job not found"})
		return
	}
	status, said := found.state()
	reply(w, status, said)
}

func (j *job) state() (status int, said any) {
	switch j.options.State {
	case Failed:
		return http.StatusInternalServerError, message{Message: "Image processing failed", Status: Failed, Job: j.ID}
	case Deleted:
		return http.StatusNotFound, message{Message: "Image deleted", Status: Complete}
	case Complete:
		return http.StatusOK, result{Complete, j.ID, j.ResultURL}
	default:
		return http.StatusOK, result{Status: j.options.State, Job: j.ID}
	}
}

func reply(w http.ResponseWriter, status int, said any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(said) // the client may have gone
}
