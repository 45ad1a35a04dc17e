package deepimage_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/google/uuid"
)

// raw answers every request with text and closes the connection.
func raw(t *testing.T, text string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = io.WriteString(conn, text)
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return "http://" + listener.Addr().String()
}

// checkSecrecy wants no part of the key in any form of a value.
func checkSecrecy(t *testing.T, shown any) {
	t.Helper()
	const core = "k3y-7c1fe9"
	var forms bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&forms, verb+"\n", shown)
	}
	_ = json.NewEncoder(&forms).Encode(shown)
	slog.New(slog.NewJSONHandler(&forms, nil)).Info("shown", "it", shown)
	if strings.Contains(forms.String(), core) {
		t.Errorf("shown = %s, want it without the key", forms.String())
	}
}

func checkErrorSecrecy(t *testing.T, err error) {
	t.Helper()
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		checkSecrecy(t, cause)
	}
}

// TestNothingRepeatsTheKey has an API repeat the key in every place that an error could quote.
func TestNothingRepeatsTheKey(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
	for name, answer := range map[string]string{
		"protocol":     theKey + "\r\n",
		"status":       "HTTP/1.1 " + theKey + "\r\n\r\n",
		"reason":       "HTTP/1.1 500 " + theKey + "\r\nContent-Length: 0\r\n\r\n",
		"header line":  "HTTP/1.1 200 OK\r\n" + theKey + "\r\n\r\n",
		"header name":  "HTTP/1.1 200 OK\r\n" + theKey + "(): x\r\n\r\n",
		"length":       "HTTP/1.1 200 OK\r\nContent-Length: " + theKey + "\r\n\r\n",
		"encoding":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + theKey + "\r\n\r\n",
		"chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + theKey + "\r\n",
		"type":         "HTTP/1.1 200 OK\r\nContent-Type: " + theKey + "\r\nConnection: close\r\n\r\nx",
		"location":     "HTTP/1.1 302 Found\r\nLocation: http://x.test/?" + theKey + "\r\nContent-Length: 0\r\n\r\n",
		"retry":        "HTTP/1.1 429 Too\r\nRetry-After: " + theKey + "\r\nContent-Length: 0\r\n\r\n",
		"page":         ok + "<p>" + theKey,
		"not JSON":     ok + `{"message":"` + theKey,
		"status word":  ok + `{"status":"` + theKey + `"}`,
		"failed":       ok + `{"status":"failed","message":"bad ` + theKey + `"}`,
		"hidden":       ok + `{"status":"failed","message":"bad pl4nted\u200b-k3y-7c1fe9"}`,
		"escaped":      ok + `{"status":"failed","message":"bad \u0070l4nted-k3y-7c1fe9"}`,
		"address":      ok + `{"status":"complete","result_url":"https://x.test/?key=` + theKey + `"}`,
		"other job":    ok + `{"status":"complete","job":"` + theKey + `","result_url":"https://x.test/"}`,
		"message":      "HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n" + `{"message":"` + theKey + `","code":"` + theKey + `"}`,
		"wrong key":    "HTTP/1.1 403 No\r\nConnection: close\r\n\r\n" + `{"message":"key ` + theKey + ` is wrong"}`,
		"credits":      "HTTP/1.1 402 No\r\nConnection: close\r\n\r\n" + `{"message":"` + theKey + ` has no credits"}`,
		"the account":  ok + `{"username":"me","api_key":"` + theKey + `"}`,
		"nothing":      "",
		"end too soon": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + theKey,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, raw(t, answer), deepimage.Config{})
			status, err := client.Result(t.Context(), "job")
			checkSecrecy(t, status)
			checkErrorSecrecy(t, err)
			checkErrorSecrecy(t, client.Delete(t.Context(), "job"))
			_, err = client.Submit(t.Context(), []byte(`{}`))
			checkErrorSecrecy(t, err)
		})
	}
}

func TestFormatShowsHostOnly(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	checkSecrecy(t, client)
	checkSecrecy(t, struct{ C *deepimage.Client }{client})
	checkSecrecy(t, []any{client})
	if text := fmt.Sprint(client); !strings.Contains(text, client.Host()) || !strings.Contains(vendor.URL(), client.Host()) {
		t.Errorf("text = %s, want the host %s", text, client.Host())
	}
}

func TestMirroredKey(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 422, 429, 500, 503} {
		vendor, client := setUp(t, deepimage.Config{})
		if err := vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.EchoKey, Status: status}); err != nil {
			t.Fatal(err)
		}
		_, err := client.Result(t.Context(), "job")
		checkErrorSecrecy(t, err)
		checkErrorSecrecy(t, client.Delete(t.Context(), "job"))
		_, err = client.Submit(t.Context(), []byte(`{}`))
		checkErrorSecrecy(t, err)
		if err == nil {
			t.Errorf("Submit() with %d = no error, want one", status)
		}
	}
}

// TestTheKeyGoesNowhereElse has the API redirect every call to another host, and to another port.
func TestTheKeyGoesNowhereElse(t *testing.T) {
	t.Parallel()
	var visits atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		t.Errorf("%s %s reached another host with the key %q, want no request", r.Method, r.URL, r.Header.Get("X-Api-Key"))
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
		}))
		client := newClient(t, here.URL, deepimage.Config{})
		_, err := client.Result(t.Context(), uuid.NewString())
		_, submitErr := client.Submit(t.Context(), []byte(`{}`))
		for _, err := range []error{err, submitErr, client.Delete(t.Context(), "job")} {
			if deepimage.KindOf(err) != deepimage.KindUnavailable {
				t.Errorf("redirect by %d = %v, want kind %s", status, err, deepimage.KindUnavailable)
			}
		}
		here.Close()
	}
	vendor, client := setUp(t, deepimage.Config{})
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	if _, err := client.Result(t.Context(), job.ID); err != nil || vendor.Requests(job.ResultURL) != 0 || visits.Load() != 0 {
		t.Errorf("Result() = %v with %d requests to the result's host and %d to another, want 0 and 0", err, vendor.Requests(job.ResultURL), visits.Load())
	}
}
