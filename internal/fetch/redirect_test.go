package fetch_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
)

// countdown redirects /3 to /2 to /1 to /0, which is the file.
func countdown(w http.ResponseWriter, r *http.Request) {
	left, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if left == 0 {
		_, _ = io.WriteString(w, "image")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: "kept"})
	http.Redirect(w, r, fmt.Sprintf("/%d", left-1), http.StatusFound)
}

func TestRedirectsAreCounted(t *testing.T) {
	t.Parallel()
	server := serve(t, countdown)
	client := newClient(t, atHome())
	for count := range fetch.MaxRedirects + 1 {
		if content, _, err := get(t, client, fmt.Sprintf("%s/%d", server.URL, count)); err != nil || string(content) != "image" {
			t.Errorf("Get() with %d redirects = %q, %v, want %q", count, content, err, "image")
		}
	}
	_, _, err := get(t, client, fmt.Sprintf("%s/%d", server.URL, fetch.MaxRedirects+1))
	failed(t, err, fetch.KindRedirects)
}

func TestEveryKindOfRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/file" {
					_, _ = io.WriteString(w, "image")
					return
				}
				w.Header().Set("Location", "file")
				w.WriteHeader(status)
			})
			if content, _, err := get(t, newClient(t, atHome()), server.URL+"/start"); err != nil || string(content) != "image" {
				t.Errorf("Get() = %q, %v, want %q", content, err, "image")
			}
		})
	}
}

func TestNothingGoesAlongARedirect(t *testing.T) {
	t.Parallel()
	last := make(chan http.Header, 1)
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last <- r.Header
		_, _ = io.WriteString(w, "image")
	})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "kept", Path: "/"})
		http.Redirect(w, r, atHost(t, target.URL, "second.test"), http.StatusFound)
	})
	client := newClient(t, atHome(), fetch.WithResolver(fakeDNS(t, "127.0.0.1")))
	_, file, err := get(t, client, server.URL+"/?signature=hidden")
	if err != nil {
		t.Fatal(err)
	}
	header := <-last
	for _, name := range []string{"Referer", "Cookie", "Authorization"} {
		if header.Get(name) != "" {
			t.Errorf("header %s = %q, want none", name, header.Get(name))
		}
	}
	if file.Host != "second.test" {
		t.Errorf("got host %q, want that of the end", file.Host)
	}
}

func TestRedirectsAreChecked(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		location string
		kind     fetch.Kind
		names    string // in the text
	}{
		"to a host off the list":     {location: "https://evil.example/x?signature=hidden", kind: fetch.KindHostNotAllowed, names: "evil.example"},
		"without a scheme":           {location: "//evil.example/x", kind: fetch.KindHostNotAllowed, names: "evil.example"},
		"to an address off the list": {location: "https://169.254.169.254/latest/", kind: fetch.KindHostNotAllowed, names: "169.254.169.254"},
		"to a number":                {location: "https://2130706433/", kind: fetch.KindHostNotAllowed},
		"down to http":               {location: "http://inside.test/x", kind: fetch.KindHostNotAllowed},
		"to an inner address":        {location: "https://inside.test/x", kind: fetch.KindBlockedAddress, names: "10.0.0.1"},
		"to another scheme":          {location: "gopher://inside.test/", kind: fetch.KindRedirects},
		"to a file":                  {location: "file:///etc/passwd", kind: fetch.KindRedirects},
		"with credentials":           {location: "https://user:hidden@inside.test/", kind: fetch.KindRedirects},
		"to nowhere":                 {kind: fetch.KindRedirects},
		"to garbage":                 {location: "https://[::hidden", kind: fetch.KindRedirects},
		"to a broken escape":         {location: "/%zz?signature=hidden", kind: fetch.KindRedirects},
		"to a URL without end":       {location: "/" + strings.Repeat("x", 9<<10), kind: fetch.KindRedirects},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, roots := secureServer(t, false, nil, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", row.location)
				w.WriteHeader(http.StatusFound)
			})
			config := atHome()
			config.AllowHTTP = false
			client := newClient(t, config, fetch.WithRootCAs(roots), fetch.WithResolver(fakeDNS(t, "10.0.0.1")))
			_, _, err := get(t, client, server.URL+"/?signature=hidden")
			failure := failed(t, err, row.kind)
			if !strings.Contains(failure.Text, row.names) || strings.Contains(failure.Text, "hidden") {
				t.Errorf("text = %q, want %q in it and no secret", failure.Text, row.names)
			}
		})
	}
}

// TestRedirectChainIntoTheInside goes two steps outside, on 127.0.0.2, which is
// allowed, and then to a name that leads to 127.0.0.1, which is not.
func TestRedirectChainIntoTheInside(t *testing.T) {
	t.Parallel()
	var inside string
	address := serveEverywhere(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/1":
			http.Redirect(w, r, "/2", http.StatusTemporaryRedirect)
		case "/2":
			http.Redirect(w, r, inside, http.StatusFound)
		default:
			t.Error("the inner server was reached, want no request")
		}
	})
	inside = atHost(t, address, "inside.test") + "/secret"
	config := fetch.Config{AllowedHosts: configtypes.List{"*"}, AllowHTTP: true, AllowedCIDRs: prefixes("127.0.0.2/32")}
	client := newClient(t, config, fetch.WithResolver(fakeDNS(t, "outside.test=127.0.0.2", "inside.test=127.0.0.1")))
	_, _, err := get(t, client, atHost(t, address, "outside.test")+"/1")
	failure := failed(t, err, fetch.KindBlockedAddress)
	if !strings.Contains(failure.Text, "inside.test") || !strings.Contains(failure.Text, "127.0.0.1") {
		t.Errorf("text = %q, want the host inside.test and its address in it", failure.Text)
	}
}

func TestLocationsAreEncoded(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, location, want string }{
		{name: "B7 stray percent sign", location: "/50%.png", want: "/50%25.png"},
		{name: "B7 raw blank and umlaut", location: "/Grüße 1.png?q=ü x", want: "/Gr%C3%BC%C3%9Fe%201.png?q=%C3%BC%20x"},
		{name: "B7 relative", location: "50% ü.png", want: "/start/50%25%20%C3%BC.png"},
		{name: "B7 query alone", location: "?q=50%", want: "/start/?q=50%25"},
		{name: "B7 encoded stays so", location: "/%c3%bc%20%2F?q=%41+", want: "/%c3%bc%20%2F?q=%41+"},
		{name: "B7 without a scheme", location: "//HOST/50%.png", want: "/50%25.png"},
		{name: "B7 with a scheme", location: "http://HOST/50%.png", want: "/50%25.png"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.RequestURI == "/start/" {
					w.Header().Set("Location", strings.ReplaceAll(row.location, "HOST", r.Host))
					w.WriteHeader(http.StatusFound)
					return
				}
				if r.RequestURI != row.want {
					t.Errorf("request = %s, want %s", r.RequestURI, row.want)
				}
				_, _ = io.WriteString(w, "image")
			})
			if _, _, err := get(t, newClient(t, atHome()), server.URL+"/start/"); err != nil {
				t.Error(err)
			}
		})
	}
}
