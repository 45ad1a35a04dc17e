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
	info := &problem.RequestInfo{ID: requestID}
	request := httptest.NewRequest(http.MethodPost, "/", nil)
	request = request.WithContext(problem.WithRequestInfo(request.Context(), info))
	answer := httptest.NewRecorder()
	problem.Write(answer, request, err)
	var details problem.Details
	if err := json.Unmarshal(answer.Body.Bytes(), &details); err != nil {
		t.Fatalf("body = %q (%v), want JSON", answer.Body, err)
	}
	return answer, details, info
}

func TestWriteStatus(t *testing.T) {
	t.Parallel()
	rows := []struct {
		code   problem.Code
		status int
	}{
		{problem.CodeBadRequest, 400},
		{problem.CodeMalformed, 400},
		{problem.CodeUnauthorized, 401},
		{problem.CodeCredits, 402},
		{problem.CodeForbidden, 403},
		{problem.CodeCrossOrigin, 403},
		{problem.CodeNotFound, 404},
		{problem.CodeMethodNotAllowed, 405},
		{problem.CodeIncomplete, 408},
		{problem.CodeConflict, 409},
		{problem.CodeTooLarge, 413},
		{problem.CodeUnsupportedCoding, 415},
		{problem.CodeMisdirected, 421},
		{problem.CodeInvalid, 422},
		{problem.CodeRefused, 422},
		{problem.CodeTooManyRequests, 429},
		{problem.CodeSlots, 429},
		{problem.CodeHeaders, 431},
		{problem.CodeInternal, 500},
		{problem.CodeVendor, 502},
		{problem.CodeAuth, 502},
		{problem.CodeUnknownOutcome, 502},
		{problem.CodeUnavailable, 503},
		{problem.CodeUnverified, 503},
	}
	for _, row := range rows {
		t.Run(string(row.code), func(t *testing.T) {
			t.Parallel()
			const detail = "Detail for the client."
			cause := errors.New("sqlite: /var/lib/receiver: table is locked")
			wrapped := fmt.Errorf("webhook: %w", &problem.Error{Code: row.code, Detail: detail, Err: cause})
			answer, details, info := write(t, wrapped)
			if answer.Code != row.status || details.Status != row.status {
				t.Errorf("status = %d, in the body %d, want %d", answer.Code, details.Status, row.status)
			}
			if want := problem.TypePrefix + string(row.code); details.Type != want || details.Title == "" || details.Detail != detail {
				t.Errorf("details = %+v, want type %q, a title and detail %q", details, want, detail)
			}
			if details.RequestID != requestID || info.Problem != row.code || !errors.Is(info.Err, cause) {
				t.Errorf("request id, code, cause = %q, %q, %v, want %q, %q, %v", details.RequestID, info.Problem, info.Err, requestID, row.code, cause)
			}
			if got := answer.Header().Get("Content-Type"); got != problem.MediaType {
				t.Errorf("Content-Type = %q, want %q", got, problem.MediaType)
			}
			if got, want := answer.Header().Get("Content-Length"), strconv.Itoa(answer.Body.Len()); got != want {
				t.Errorf("Content-Length = %q, want %q", got, want)
			}
			if strings.Contains(answer.Body.String(), "sqlite") {
				t.Errorf("body = %s, want no cause in it", answer.Body)
			}
			if has, want := answer.Header().Get("Retry-After") != "", row.status == 503 || row.status == 429; has != want {
				t.Errorf("has Retry-After = %t, want %t", has, want)
			}
		})
	}
}

func TestWriteHidesOtherErrors(t *testing.T) {
	t.Parallel()
	rows := map[string]error{
		"no code":      errors.New("pq: password authentication failed for user receiver"),
		"unknown code": &problem.Error{Code: "made_up", Detail: "password"},
		"nil":          nil,
	}
	for name, err := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, details, _ := write(t, err)
			if answer.Code != http.StatusInternalServerError || details.Detail == "" {
				t.Errorf("status, details = %d, %+v, want 500 and a detail", answer.Code, details)
			}
			if strings.Contains(answer.Body.String(), "password") {
				t.Errorf("body = %s, want no part of the error", answer.Body)
			}
		})
	}
}

// TestWriteDecodeErrors maps the errors of event.Decode to codes.
func TestWriteDecodeErrors(t *testing.T) {
	t.Parallel()
	faults := []event.Fault{{Pointer: "/job", Detail: "is missing"}, {Pointer: "", Detail: `has "quotes" and <b>`}}
	_, details, info := write(t, fmt.Errorf("webhook: %w", &event.InvalidError{Faults: faults}))
	if !slices.Equal(details.Errors, faults) || info.Problem != problem.CodeInvalid {
		t.Errorf("code, errors = %s, %+v, want %s, %+v", info.Problem, details.Errors, problem.CodeInvalid, faults)
	}
	answer, _, info := write(t, &event.MalformedError{Defect: event.Defect{Kind: event.DefectCut, Offset: 7}})
	if body := answer.Body.String(); info.Problem != problem.CodeMalformed || strings.Contains(body, "errors") || !strings.Contains(body, "7") {
		t.Errorf("code, body = %s, %s, want %s, the offset 7 and no errors", info.Problem, body, problem.CodeMalformed)
	}
	answer, details, _ = write(t, &problem.Error{Code: problem.CodeMalformed})
	if details.Detail == "" {
		t.Errorf("detail of %s is empty, want the title", answer.Body)
	}
}

func TestErrorKeepsItsCode(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk full")
	err := fmt.Errorf("accept: %w", problem.Unavailable("no space", cause))
	if code := problem.CodeOf(err); code != problem.CodeUnavailable || !errors.Is(err, cause) {
		t.Errorf("code, error = %s, %v, want %s and the cause %v", code, err, problem.CodeUnavailable, cause)
	}
	if code := problem.CodeOf(cause); code != problem.CodeInternal {
		t.Errorf("code of another error = %s, want %s", code, problem.CodeInternal)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name        string
		after       time.Duration
		least, most int
	}{
		{"default", 0, 5, 14},
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
				answer, _, _ := write(t, &problem.Error{Code: problem.CodeUnavailable, RetryAfter: row.after})
				seconds, err := strconv.Atoi(answer.Header().Get("Retry-After"))
				if err != nil || seconds < row.least || seconds > row.most {
					t.Fatalf("Retry-After = %q, want %d to %d", answer.Header().Get("Retry-After"), row.least, row.most)
				}
				seen[seconds] = true
			}
			if len(seen) == 1 && row.least < row.most {
				t.Errorf("100 answers had %d values of Retry-After, want several", len(seen))
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
		t.Errorf("answer = %d %s, want 404 and %s", missing.Code, missing.Body, problem.CodeNotFound)
	}
	other := httptest.NewRecorder()
	problem.MethodNotAllowed(other, request, []string{"GET", "HEAD"})
	if other.Code != http.StatusMethodNotAllowed || other.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("status, Allow = %d, %q, want 405, %q", other.Code, other.Header().Get("Allow"), "GET, HEAD")
	}
}
