package handler_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// want compares a classified error without its text. The zero value stands for no error.
func want(t *testing.T, err error, want handler.Error) {
	t.Helper()
	got := handler.Error{}
	if failure := handler.Classify(err); failure != nil {
		got = *failure
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(handler.Error{}, "Err")); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// A8: while the event is minutes old, the API may not have its job yet.
func TestRenewalOfAnUnknownJob(t *testing.T) {
	t.Parallel()
	refresh := func(context.Context, string) (string, error) {
		return "", handler.Fail(event.ReasonExpired, fmt.Errorf("%w, so no", handler.ErrUnknownJob))
	}
	for _, row := range []struct {
		name string
		age  time.Duration
		want event.Action
	}{
		{name: "A8 new", age: time.Second, want: event.ActionHold},
		{name: "A8 old", age: time.Hour, want: event.ActionFail},
	} {
		e := event.Event{Job: "job", Received: time.Now().Add(-row.age)}
		_, err := handler.NewRenewal(refresh, e).Missing(t.Context(), e)
		want(t, err, handler.Error{Action: row.want, Reason: event.ReasonExpired})
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, row := range []struct {
		name string
		err  error
		want handler.Error
	}{
		{name: "none"},
		{name: "plain", err: broken, want: handler.Error{Action: event.ActionRetry, Reason: event.ReasonOther}},
		{name: "deadline", err: fmt.Errorf("x: %w", context.DeadlineExceeded), want: handler.Error{Action: event.ActionRetry, Reason: event.ReasonTimeout}},
		{
			name: "wrapped", err: fmt.Errorf("x: %w", handler.Fail(event.ReasonAuth, context.DeadlineExceeded)),
			want: handler.Error{Action: event.ActionFail, Reason: event.ReasonAuth},
		},
		{name: "retry", err: handler.Retry(event.ReasonStorage, broken), want: handler.Error{Action: event.ActionRetry, Reason: event.ReasonStorage}},
		{
			name: "retry after", err: handler.RetryAfter(time.Second, event.ReasonRateLimited, broken),
			want: handler.Error{Action: event.ActionRetry, Reason: event.ReasonRateLimited, Delay: time.Second},
		},
		{
			name: "hold", err: handler.Hold(time.Second, event.ReasonNoResult, broken),
			want: handler.Error{Action: event.ActionHold, Reason: event.ReasonNoResult, Delay: time.Second},
		},
		{
			name: "defer", err: handler.Defer(time.Second, event.CauseOutage, event.ReasonServerError, broken),
			want: handler.Error{Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonServerError, Delay: time.Second},
		},
		{name: "quarantine", err: handler.Quarantine(event.ReasonNotVerified, broken), want: handler.Error{Action: event.ActionQuarantine, Reason: event.ReasonNotVerified}},
		{
			name: "fail, deleted", err: handler.FailDeleted(event.ReasonExpired, broken),
			want: handler.Error{Action: event.ActionFail, Cause: event.CauseDeleted, Reason: event.ReasonExpired},
		},
		{name: "disable", err: handler.Disable(event.ReasonOther, broken), want: handler.Error{Action: event.ActionDisable, Reason: event.ReasonOther}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			want(t, row.err, row.want)
		})
	}
}

func TestFetchFailure(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		kind   fetch.Kind
		action event.Action
		reason event.Reason
	}{
		{kind: fetch.KindBlockedAddress, action: event.ActionFail, reason: event.ReasonBlockedAddress},
		{kind: fetch.KindInvalidURL, action: event.ActionFail, reason: event.ReasonOther},
		{kind: fetch.KindTooLarge, action: event.ActionFail, reason: event.ReasonTooLarge},
		{kind: fetch.KindTruncated, action: event.ActionRetry, reason: event.ReasonTruncated},
		{kind: fetch.KindTimeout, action: event.ActionRetry, reason: event.ReasonTimeout},
		{kind: fetch.KindUnreachable, action: event.ActionRetry, reason: event.ReasonUnreachable},
		{kind: fetch.KindEncoding, action: event.ActionRetry, reason: event.ReasonWrongType},
		{kind: fetch.KindNetwork, action: event.ActionRetry, reason: event.ReasonOther},
	} {
		t.Run(string(row.kind), func(t *testing.T) {
			t.Parallel()
			want(t, handler.FetchFailure(&fetch.Error{Kind: row.kind}, "LIMIT"), handler.Error{Action: row.action, Reason: row.reason})
		})
	}
	t.Run("B9: host not allowed", func(t *testing.T) {
		t.Parallel()
		want(t, handler.FetchFailure(&fetch.Error{Kind: fetch.KindHostNotAllowed}, "LIMIT"),
			handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonHostNotAllowed})
	})
	t.Run("B10: slow host", func(t *testing.T) {
		t.Parallel()
		want(t, handler.FetchFailure(&fetch.Error{Kind: fetch.KindBusy}, "LIMIT"),
			handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonTimeout})
	})
	t.Run("B6: proxy", func(t *testing.T) {
		t.Parallel()
		want(t, handler.FetchFailure(&fetch.Error{Kind: fetch.KindProxy}, "LIMIT"),
			handler.Error{Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonUnreachable})
	})
	t.Run("F7: write", func(t *testing.T) {
		t.Parallel()
		want(t, handler.FetchFailure(&fetch.Error{Kind: fetch.KindWrite, Err: blobstore.ErrFull}, "LIMIT"),
			handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonStorage})
	})
	t.Run("not of fetch", func(t *testing.T) {
		t.Parallel()
		want(t, handler.FetchFailure(errors.New("broken"), "LIMIT"), handler.Error{Action: event.ActionRetry, Reason: event.ReasonOther})
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	const after = time.Minute
	// B3 of the list of faults: these statuses do not rule out that the host has the file later.
	passing := handler.Error{Action: event.ActionRetry, Reason: event.ReasonOther, Delay: after}
	for _, row := range []struct {
		status int
		target handler.Error // of a target
		result handler.Error // of the host of a result; that of a target if empty
	}{
		{status: 202, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}, result: passing},
		{status: 203, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}, result: passing},
		{status: 409, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}, result: passing},
		{status: 423, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}, result: passing},
		{status: 300, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}, result: passing},
		{status: 418, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}, result: passing},
		{status: 999, target: handler.Error{Action: event.ActionRetry, Reason: event.ReasonServerError, Delay: after}},
		{status: 406, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}},
		{status: 451, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}},
		{status: 400, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}},
		{status: 401, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonAuth}},
		{status: 403, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonAuth}, result: handler.Error{Action: event.ActionFail, Reason: event.ReasonExpired}},
		{status: 404, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}, result: handler.Error{Action: event.ActionFail, Reason: event.ReasonExpired}},
		{status: 407, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonAuth}},
		{status: 408, target: handler.Error{Action: event.ActionRetry, Reason: event.ReasonTimeout, Delay: after}},
		{status: 410, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther}, result: handler.Error{Action: event.ActionFail, Reason: event.ReasonExpired}},
		{status: 413, target: handler.Error{Action: event.ActionFail, Reason: event.ReasonTooLarge}},
		{status: 425, target: handler.Error{Action: event.ActionRetry, Reason: event.ReasonRateLimited, Delay: after}},
		{status: 429, target: handler.Error{Action: event.ActionRetry, Reason: event.ReasonRateLimited, Delay: after}},
		{status: 500, target: handler.Error{Action: event.ActionRetry, Reason: event.ReasonServerError, Delay: after}},
		{status: 599, target: handler.Error{Action: event.ActionRetry, Reason: event.ReasonServerError, Delay: after}},
	} {
		t.Run(fmt.Sprint(row.status), func(t *testing.T) {
			t.Parallel()
			want(t, handler.StatusFailure(row.status, after, errors.New("broken")), row.target)
			result := row.result
			if result == (handler.Error{}) {
				result = row.target
			}
			want(t, handler.FetchFailure(&fetch.Error{Kind: fetch.KindStatus, Status: row.status, RetryAfter: after}, "LIMIT"), result)
		})
	}
}

func TestStorageFailure(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		err  error
		want handler.Error
	}{
		{name: "none"},
		{name: "permanent", err: fmt.Errorf("x: %w", blobstore.ErrKey), want: handler.Error{Action: event.ActionFail, Reason: event.ReasonStorage}},
		{name: "E5: bucket is down", err: errors.New("answered 503"), want: handler.Error{Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonStorage}},
		{
			name: "F7: disk of images is full", err: fmt.Errorf("x: %w", blobstore.ErrFull),
			want: handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonStorage},
		},
		{
			name: "E5: permission", err: fmt.Errorf("x: %w", fs.ErrPermission),
			want: handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonStorage},
		},
		{
			name: "E5: broken disk", err: fmt.Errorf("x: %w", syscall.EIO),
			want: handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonStorage},
		},
		{
			name: "E5 bucket that refuses the credentials", err: fmt.Errorf("x: %w", blobstore.ErrDenied),
			want: handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonAuth},
		},
		{name: "too large", err: fmt.Errorf("x: %w", blobstore.ErrTooLarge), want: handler.Error{Action: event.ActionFail, Reason: event.ReasonTooLarge}},
		{name: "deadline", err: context.DeadlineExceeded, want: handler.Error{Action: event.ActionRetry, Reason: event.ReasonTimeout}},
		{name: "classified", err: handler.Fail(event.ReasonAuth, errors.New("x")), want: handler.Error{Action: event.ActionFail, Reason: event.ReasonAuth}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			want(t, handler.StorageFailure(row.err, blobstore.ErrKey), row.want)
		})
	}
}

func TestAdviseKeepsTheClass(t *testing.T) {
	t.Parallel()
	want(t, handler.Advise(handler.Fail(event.ReasonAuth, errors.New("x")), "do this"), handler.Error{Action: event.ActionFail, Reason: event.ReasonAuth})
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	const old, current = "https://host/a.png?old", "https://host/a.png?new"
	gone := handler.Fail(event.ReasonExpired, errors.New("gone"))
	outage := handler.Defer(time.Minute, event.CauseStep, event.ReasonServerError, errors.New("down"))
	for _, row := range []struct {
		name     string
		noKey    bool
		vendor   string // result URL of the vendor
		down     bool   // the vendor's API
		expired  []string
		count    int // results of the event; 1 if 0
		age      time.Duration
		want     handler.Error
		requests []string
	}{
		{name: "not expired", vendor: current, requests: []string{old}},
		{name: "renewed", vendor: current, expired: []string{old}, requests: []string{old, current}},
		{
			name: "B1: one of several, seconds old", vendor: current, expired: []string{old}, count: 2, requests: []string{old},
			want: handler.Error{Action: event.ActionHold, Reason: event.ReasonExpired},
		},
		{
			name: "B1: no key, seconds old", noKey: true, expired: []string{old}, requests: []string{old},
			want: handler.Error{Action: event.ActionHold, Reason: event.ReasonExpired},
		},
		{
			name: "B1: no key, 9 minutes old", age: 9 * time.Minute, noKey: true, expired: []string{old}, requests: []string{old},
			want: handler.Error{Action: event.ActionHold, Reason: event.ReasonExpired},
		},
		{
			name: "one of several", age: time.Hour, vendor: current, expired: []string{old}, count: 2, requests: []string{old},
			want: handler.Error{Action: event.ActionFail, Reason: event.ReasonExpired},
		},
		{
			name: "B1: no key, 10 minutes old", age: 10 * time.Minute, noKey: true, expired: []string{old}, requests: []string{old},
			want: handler.Error{Action: event.ActionFail, Reason: event.ReasonExpired},
		},
		{
			name: "same URL", vendor: old, expired: []string{old}, requests: []string{old},
			want: handler.Error{Action: event.ActionRetry, Reason: event.ReasonExpired},
		},
		{
			name: "new URL has expired", vendor: current, expired: []string{old, current}, requests: []string{old, current},
			want: handler.Error{Action: event.ActionRetry, Reason: event.ReasonExpired},
		},
		{
			name: "outage", down: true, expired: []string{old}, requests: []string{old},
			want: handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonServerError, Delay: time.Minute},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			refresh := func(context.Context, string) (string, error) {
				if row.down {
					return "", outage
				}
				return row.vendor, nil
			}
			if row.noKey {
				refresh = nil
			}
			var requests []string
			err := handler.NewRenewal(refresh, event.Event{Job: "job", Received: time.Now().Add(-row.age - time.Second)}).Fetch(t.Context(), event.Result{URL: old}, max(row.count, 1), func(url string) error {
				requests = append(requests, url)
				if slices.Contains(row.expired, url) {
					return gone
				}
				return nil
			})
			want(t, err, row.want)
			if diff := cmp.Diff(row.requests, requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenewalOfMissingURL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		noKey  bool
		vendor string
		want   handler.Error
	}{
		{name: "found", vendor: "https://host/a.png"},
		{name: "no key", noKey: true, want: handler.Error{Action: event.ActionFail, Reason: event.ReasonNoResult}},
		{name: "storage", vendor: "storage://mine/a.png", want: handler.Error{Action: event.ActionFail, Reason: event.ReasonNoResult}},
		{name: "none", vendor: "", want: handler.Error{Action: event.ActionFail, Reason: event.ReasonNoResult}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			refresh := func(context.Context, string) (string, error) { asked++; return row.vendor, nil }
			if row.noKey {
				refresh = nil
			}
			renewal := handler.NewRenewal(refresh, event.Event{Job: "job"})
			for range 2 {
				result, err := renewal.Missing(t.Context(), event.Event{Job: "job"})
				want(t, err, row.want)
				if err == nil && result.URL != row.vendor {
					t.Errorf("URL = %q, want %q", result.URL, row.vendor)
				}
			}
			if !row.noKey && asked != 1 {
				t.Errorf("vendor asked %d times, want 1", asked)
			}
		})
	}
}
