package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

const requestID = "4ZQ3YPHD6SUXWTHUJ7SR4MHAQB"

func write(t *testing.T, err error) (*httptest.ResponseRecorder, problem.Details, *problem.RequestInfo) {
	t.Helper()
	told := &problem.RequestInfo{ID: requestID}
	request := httptest.NewRequest(http.MethodPost, "/", nil)
	request = request.WithContext(problem.WithRequestInfo(request.Context(), told))
	answer := httptest.NewRecorder()
	problem.Write(answer, request, err)
	var details problem.Details
	if err := json.Unmarshal(answer.Body.Bytes(), &details); err != nil {
		t.Fatalf("the body %q is not JSON: %v", answer.Body, err)
	}
	return answer, details, told
}

func TestWriteGivesEveryMeaningItsStatus(t *testing.T) {
	t.Parallel()
	rows := []struct {
		code   event.Code
		status int
	}{
		{event.CodeMalformed, 400},
		{event.CodeUnauthorized, 401},
		{event.CodeForbidden, 403},
		{event.CodeIncomplete, 408},
		{event.CodeTooLarge, 413},
		{event.CodeInvalid, 422},
		{event.CodeHeaders, 431},
		{event.CodeInternal, 500},
		{event.CodeUnavailable, 503},
	}
	for _, row := range rows {
		t.Run(string(row.code), func(t *testing.T) {
			t.Parallel()
			cause := errors.New("sqlite: /var/lib/receiver: table is locked")
			wrapped := fmt.Errorf("ingress: %w", &event.Error{Code: row.code, Detail: "What a person is told.", Err: cause})
			answer, details, told := write(t, wrapped)
			if answer.Code != row.status || details.Status != row.status {
				t.Errorf("status %d, and %d in the body; want %d", answer.Code, details.Status, row.status)
			}
			if details.Type != problem.TypePrefix+string(row.code) || details.Title == "" || details.Detail != "What a person is told." {
				t.Errorf("details are %+v", details)
			}
			if details.RequestID != requestID || told.Problem != row.code || !errors.Is(told.Err, cause) {
				t.Errorf("request id %q, problem %q, cause %v", details.RequestID, told.Problem, told.Err)
			}
			if got := answer.Header().Get("Content-Type"); got != problem.MediaType {
				t.Errorf("Content-Type is %q", got)
			}
			if got := answer.Header().Get("Content-Length"); got != strconv.Itoa(answer.Body.Len()) {
				t.Errorf("Content-Length is %q for %d bytes", got, answer.Body.Len())
			}
			if strings.Contains(answer.Body.String(), "sqlite") {
				t.Errorf("the cause is in the answer: %s", answer.Body)
			}
			if has := answer.Header().Get("Retry-After") != ""; has != (row.status == 503) {
				t.Errorf("Retry-After is %q with status %d", answer.Header().Get("Retry-After"), row.status)
			}
		})
	}
}

func TestWriteTellsNothingOfOtherErrors(t *testing.T) {
	t.Parallel()
	rows := map[string]error{
		"no meaning":      errors.New("pq: password authentication failed for user receiver"),
		"unknown meaning": &event.Error{Code: "made_up", Detail: "password"},
		"nil":             nil,
	}
	for name, err := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, details, _ := write(t, err)
			if answer.Code != http.StatusInternalServerError || details.Detail == "" {
				t.Errorf("answered %d %+v", answer.Code, details)
			}
			if strings.Contains(answer.Body.String(), "password") {
				t.Errorf("the error is in the answer: %s", answer.Body)
			}
		})
	}
}

func TestWriteListsFaults(t *testing.T) {
	t.Parallel()
	faults := []event.Fault{{Pointer: "/job", Detail: "is missing"}, {Pointer: "", Detail: `has "quotes" and <b>`}}
	answer, details, _ := write(t, &event.Error{Code: event.CodeInvalid, Detail: "No event.", Faults: faults})
	if !slices.Equal(details.Errors, faults) {
		t.Errorf("errors are %+v in %s", details.Errors, answer.Body)
	}
	answer, _, _ = write(t, &event.Error{Code: event.CodeMalformed})
	if strings.Contains(answer.Body.String(), "errors") || strings.Contains(answer.Body.String(), `"detail":""`) {
		t.Errorf("a problem without faults and detail is %s", answer.Body)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name        string
		wanted      time.Duration
		least, most int
	}{
		{"left to us", 0, 5, 14},
		{"a fraction of a second", time.Millisecond, 1, 10},
		{"half a minute", 30 * time.Second, 30, 39},
		{"a year", 365 * 24 * time.Hour, 3600, 3600},
		{"negative", -time.Hour, 5, 14},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			seen := map[int]bool{}
			for range 100 {
				answer, _, _ := write(t, &event.Error{Code: event.CodeUnavailable, RetryAfter: row.wanted})
				seconds, err := strconv.Atoi(answer.Header().Get("Retry-After"))
				if err != nil || seconds < row.least || seconds > row.most {
					t.Fatalf("Retry-After is %q, want %d to %d", answer.Header().Get("Retry-After"), row.least, row.most)
				}
				seen[seconds] = true
			}
			if len(seen) == 1 && row.least < row.most {
				t.Error("every answer asks to wait for the same time")
			}
		})
	}
}

func TestRouterProblems(t *testing.T) {
	t.Parallel()
	request := httptest.NewRequest(http.MethodPut, "/livez", nil)
	missing := httptest.NewRecorder()
	problem.NotFound(missing, request)
	if missing.Code != http.StatusNotFound || !strings.Contains(missing.Body.String(), problem.TypePrefix+"not_found") {
		t.Errorf("not found: %d %s", missing.Code, missing.Body)
	}
	other := httptest.NewRecorder()
	problem.MethodNotAllowed(other, request, []string{"GET", "HEAD"})
	if other.Code != http.StatusMethodNotAllowed || other.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("method not allowed: %d, Allow %q", other.Code, other.Header().Get("Allow"))
	}
}
