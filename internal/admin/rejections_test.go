package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/go-cmp/cmp"
)

// reject stores a rejection and returns its id.
func (s *stores) reject(t *testing.T, body string) int64 {
	t.Helper()
	rejection := event.Rejection{Received: time.Now(), Code: event.RejectedMalformed, Detail: "not JSON", Body: []byte(body)}
	if err := s.inbox.Reject(t.Context(), rejection); err != nil {
		t.Fatal(err)
	}
	found, err := s.inbox.Rejections(t.Context(), 0, 1)
	if err != nil || len(found) != 1 {
		t.Fatalf("rejections = %v, error %v, want 1", found, err)
	}
	return found[0].ID
}

// withBody sets the body of a request.
func withBody(contentType, body string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", contentType)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
}

// TestRejectionsAccept is fault A1: a person can accept every rejected callback, by the API and by the page.
func TestRejectionsAccept(t *testing.T) { //nolint:tparallel // later subtests see the events of earlier ones
	t.Parallel()
	held := openStores(t)
	handler, document := serve(t, "", held.deps()), apitest.Load(t)
	rows := []struct {
		name, body, path string // in path %d is the id
		json             string // body of a request to the API
		form             url.Values
		wantStatus       int
		wantJob          string // of the event
		wantResult       string // status in the response of the API, or notice of the page
	}{
		{name: "job from the body", body: `{"job":"a","results":[NaN]}`, path: "/api/v1/rejections/%d/accept", wantStatus: 200, wantJob: "a", wantResult: "accepted"},
		{name: "the same once more", body: `{"job":"a","results":[NaN]}`, path: "/api/v1/rejections/%d/accept", wantStatus: 200, wantJob: "a", wantResult: "duplicate"},
		{name: "job of the person", body: "job=7\xff", path: "/api/v1/rejections/%d/accept", json: `{"job":"b","result_url":"https://h/b.png"}`, wantStatus: 200, wantJob: "b", wantResult: "accepted"},
		{name: "form of the page", body: "job=7", path: "/rejections/%d/accept", form: url.Values{"job": {"c"}, "result_url": {""}}, wantStatus: 303, wantJob: "c", wantResult: "accepted"},
		{name: "form of the page once more", body: "job=7", path: "/rejections/%d/accept", form: url.Values{"job": {"c"}}, wantStatus: 303, wantJob: "c", wantResult: "duplicate"},
		{name: "no job", body: "job=7", path: "/api/v1/rejections/%d/accept", wantStatus: 422},
		{name: "no job, page", body: "job=7", path: "/rejections/%d/accept", wantStatus: 422},
		{name: "invalid job", body: `{"job":7}`, path: "/api/v1/rejections/%d/accept", json: `{"job":"a\u0000b"}`, wantStatus: 422},
		{name: "other JSON", body: `{"job":7}`, path: "/api/v1/rejections/%d/accept", json: `{"jobs":"a"}`, wantStatus: 400},
		{name: "unknown id", body: `{"job":7}`, path: "/api/v1/rejections/99%d/accept", json: `{"job":"a"}`, wantStatus: 404},
		{name: "no id", body: `{"job":7}`, path: "/api/v1/rejections/x%d/accept", wantStatus: 404},
		{name: "delete", body: "x", path: "/api/v1/rejections/%d/delete", wantStatus: 200},
		{name: "delete by the page", body: "x", path: "/rejections/%d/delete", wantStatus: 303, wantResult: "deleted"},
		{name: "delete, unknown id", body: "x", path: "/api/v1/rejections/99%d/delete", wantStatus: 404},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			id := held.reject(t, row.body)
			path, body := fmt.Sprintf(row.path, id), withBody("application/json", row.json)
			if row.form != nil {
				body = withBody("application/x-www-form-urlencoded", row.form.Encode())
			}
			response := ask(handler, http.MethodPost, path, body)
			if response.StatusCode != row.wantStatus {
				t.Fatalf("status = %d, want %d", response.StatusCode, row.wantStatus)
			}
			var got struct {
				Event  event.ID
				Status string
			}
			done := row.wantStatus < 400
			if strings.HasPrefix(path, "/api/") {
				if err := document.Validate(http.MethodPost, path, response); err != nil {
					t.Errorf("response with status %d: error = %v, want one of the specification", response.StatusCode, err)
				}
				if err := json.NewDecoder(response.Body).Decode(&got); done && err != nil {
					t.Fatal(err)
				}
			} else if location, err := response.Location(); err == nil {
				got.Status = location.Query().Get("did")
			}
			if done && got.Status != row.wantResult {
				t.Errorf("result = %q, want %q", got.Status, row.wantResult)
			}
			if _, err := held.inbox.Rejection(t.Context(), id); (err != nil) != done {
				t.Errorf("rejection is stored = %t, want %t", err == nil, !done)
			}
			if got.Event != "" {
				if _, err := held.inbox.Body(t.Context(), row.wantJob, got.Event); err != nil {
					t.Errorf("event %s of job %s: error = %v, want it stored", got.Event, row.wantJob, err)
				}
			}
		})
	}
}

// The list has pages, says what a person must pass, and shows no secret; the body can be downloaded byte for byte.
func TestRejectionsList(t *testing.T) {
	t.Parallel()
	held := openStores(t)
	handler := serve(t, "", held.deps())
	bodies := []string{"job=7\xff\x1b<script>", `{"job":"a\u0001","results":[NaN]}`, `{"job":"b","job":"b","result_url":"https://h/b.png?token=hunter2"}`}
	ids := map[int64]string{}
	for _, body := range bodies {
		ids[held.reject(t, body)] = body
	}
	var found []admin.Rejection
	for cursor := ""; len(found) < len(bodies); {
		response := ask(handler, http.MethodGet, "/api/v1/rejections?limit=2&cursor="+cursor, nil)
		if err := apitest.Load(t).Validate(http.MethodGet, "/api/v1/rejections", response); err != nil {
			t.Errorf("list: error = %v, want the response of the specification", err)
		}
		var page struct {
			Rejections []admin.Rejection
			Cursor     string
		}
		if err := json.NewDecoder(response.Body).Decode(&page); err != nil || len(page.Rejections) == 0 {
			t.Fatalf("list has %d rejections, error %v, want some", len(page.Rejections), err)
		}
		found, cursor = append(found, page.Rejections...), page.Cursor
		if (cursor == "") != (len(found) == len(bodies)) {
			t.Fatalf("cursor after %d rejections = %q, want none only at the end", len(found), cursor)
		}
	}
	var jobs []string
	for _, r := range found {
		jobs = append(jobs, r.Job)
		if text := fmt.Sprint(r); strings.Contains(text, "hunter2") || r.Bytes != len(ids[r.ID]) {
			t.Errorf("rejection = %s, want %d bytes and no secret", text, len(ids[r.ID]))
		}
		response := ask(handler, http.MethodGet, fmt.Sprintf("/api/v1/rejections/%d/body", r.ID), nil)
		body, err := io.ReadAll(response.Body)
		if err != nil || string(body) != ids[r.ID] {
			t.Errorf("body = %q, error %v, want %q", body, err, ids[r.ID])
		}
		header := response.Header
		if !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("headers = %v, want an attachment and nosniff", header)
		}
	}
	if diff := cmp.Diff([]string{"b", "", ""}, jobs); diff != "" {
		t.Errorf("jobs differ (-want +got):\n%s", diff)
	}
	shown := page(t, handler, "/rejected")
	if strings.Contains(shown, "hunter2") || strings.Count(shown, `name="job"`) != 2 || strings.Count(shown, `name="result_url"`) != 2 {
		t.Errorf("page = %s, want no secret, and fields for 2 jobs and 2 result URLs", shown)
	}
	for path, want := range map[string]int{"/api/v1/rejections?cursor=x": 400, "/api/v1/rejections/99/body": 404, "/api/v1/rejections/x/body": 404} {
		if got := ask(handler, http.MethodGet, path, nil).StatusCode; got != want {
			t.Errorf("%s: status = %d, want %d", path, got, want)
		}
	}
}
