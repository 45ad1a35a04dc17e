package webhook_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

func basic(user, password string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}}
}

func bearer(text string) http.Header { return http.Header{"Authorization": {"Bearer " + text}} }

func TestToken(t *testing.T) {
	t.Parallel()
	const path = event.WebhookPath
	encoded := url.PathEscape(newToken)
	rows := []struct {
		name, path string
		header     http.Header
		want       int
	}{
		{"in the path", path + "/" + token, nil, 200},
		{"the other one, encoded", path + "/" + encoded, nil, 200},
		{"every character encoded", path + "/" + everyByteEncoded(token), nil, 200},
		{"Bearer", path, bearer(token), 200},
		{"Bearer, the other one", path, bearer(newToken), 200},
		{"Bearer in another case", path, http.Header{"Authorization": {"bEARER   " + token + " "}}, 200},
		{"Basic password", path, basic("anyone", token), 200},
		{"Basic password without a user", path, basic("", newToken), 200},
		{"query", path + "?token=" + token, nil, 200},
		{"query among others", path + "?a=b&token=" + url.QueryEscape(newToken) + "&c", nil, 200},
		{"path before a wrong header", path + "/" + token, bearer("wrong"), 200},
		{"Bearer before a wrong query", path + "?token=wrong", bearer(token), 200},
		{"query beside an unknown scheme", path + "?token=" + token, http.Header{"Authorization": {"Digest x"}}, 200},

		{"none", path, nil, 401},
		{"wrong in the path", path + "/wrong", nil, 401},
		{"wrong in the path, right in the header", path + "/wrong", bearer(token), 401},
		{"wrong header, right query", path + "?token=" + token, bearer("wrong"), 401},
		{"wrong Bearer", path, bearer(token + "x"), 401},
		{"empty Bearer", path, bearer(""), 401},
		{"wrong Basic", path, basic(token, "wrong"), 401},
		{"token as the Basic user", path, basic(token, ""), 401},
		{"broken Basic", path, http.Header{"Authorization": {"Basic !!!"}}, 401},
		{"scheme without a token", path, http.Header{"Authorization": {"Bearer"}}, 401},
		{"token without a scheme", path, http.Header{"Authorization": {token}}, 401},
		{"empty query", path + "?token=", nil, 401},
		{"wrong query", path + "?token=wrong", nil, 401},
		{"other parameter", path + "?mytoken=" + token, nil, 401},
		{"other case", path + "/" + strings.ToLower(token), nil, 401},
		{"the beginning of it", path + "/" + token[:len(token)-1], nil, 401},
		{"with a space", path + "/" + token + "%20", nil, 401},
		{"with a NUL", path + "/" + token + "%00", nil, 401},
		{"encoded twice", path + "/" + url.PathEscape(encoded), nil, 401},
		{"both", path + "/" + token + "," + encoded, nil, 401},
		{"empty in the path", path + "/", nil, 401},
	}
	server := start(t, defaults())
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response, body := server.send(t, http.MethodPost, row.path, row.header, strings.NewReader(`{"job":"`+row.name+`"}`))
			if response.StatusCode != row.want {
				t.Errorf("response = %d %s, want %d", response.StatusCode, body, row.want)
			}
			if challenges := len(response.Header.Values("WWW-Authenticate")); (challenges == 2) != (row.want == 401) {
				t.Errorf("challenges = %d with status %d, want 2 with 401 only", challenges, row.want)
			}
			if stored := server.inbox.has(row.name); stored != (row.want == 200) {
				t.Errorf("stored = %t with status %d, want true with 200 only", stored, row.want)
			}
		})
	}
}

func everyByteEncoded(text string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		b.WriteByte('%')
		b.WriteByte(digits[text[i]>>4])
		b.WriteByte(digits[text[i]&15])
	}
	return b.String()
}

// TestWrongTokenStoresNothing sends a body with a wrong token.
func TestWrongTokenStoresNothing(t *testing.T) {
	t.Parallel()
	server := start(t, defaults())
	response, body := server.send(t, http.MethodPost, event.WebhookPath+"/wrong", nil, strings.NewReader("nonsense"))
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("response = %d %s, want 401", response.StatusCode, body)
	}
	if events, rejected := server.inbox.kept(); len(events)+len(rejected) != 0 {
		t.Errorf("stored %v and %v, want nothing", events, rejected)
	}
}

// FuzzToken wants no 5xx, and 200 only with a token.
func FuzzToken(f *testing.F) {
	for _, seed := range []struct{ target, authorization string }{
		{"/webhooks/deep-image/" + token, ""},
		{"/webhooks/deep-image/" + url.PathEscape(newToken), ""},
		{"/webhooks/deep-image?token=" + token, ""},
		{"/webhooks/deep-image?token=%zz;token=1", "Bearer"},
		{"/webhooks/deep-image", "Bearer " + token},
		{"/webhooks/deep-image", basic("", token).Get("Authorization")},
		{"/webhooks/deep-image/%2F", "Basic Og=="},
		{"/webhooks/deep-image//", "Basic"},
		{"http://other/webhooks/deep-image/a%2fb", " "},
		{"/webhooks/../webhooks/deep-image/x", "bearer \x80"},
		{"*", ""},
	} {
		f.Add(seed.target, seed.authorization)
	}
	handler := newServer(f, defaults(), io.Discard).Router()
	f.Fuzz(func(t *testing.T, target, authorization string) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + target + " HTTP/1.1\r\nHost: receiver\r\n\r\n")))
		if err != nil {
			return // not HTTP
		}
		request.Header.Set("Authorization", authorization)
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(sample)), int64(len(sample))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code >= 500 {
			t.Fatalf("response = %d %s, want no 5xx", answer.Code, answer.Body)
		}
		if answer.Code == http.StatusOK && !carriesToken(request, authorization) {
			t.Fatalf("status of %q with %q = 200, want a refusal", target, authorization)
		}
	})
}

// carriesToken reports whether a token is anywhere in the request.
func carriesToken(r *http.Request, authorization string) bool {
	_, password, _ := r.BasicAuth()
	places := []string{password, authorization, r.URL.Path}
	for _, place := range append(places, r.URL.Query()["token"]...) {
		if strings.Contains(place, token) || strings.Contains(place, newToken) {
			return true
		}
	}
	return false
}
