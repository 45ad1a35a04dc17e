package fetch_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
)

func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		list, url string
		want      fetch.Kind // "" for allowed
	}{
		"exact":                               {"deep-image.ai", "https://deep-image.ai/x.png", ""},
		"exact, other case":                   {"Deep-Image.AI", "https://DEEP-image.ai/x.png", ""},
		"exact, final dot in the URL":         {"deep-image.ai", "https://deep-image.ai./x.png", ""},
		"exact, final dot in the list":        {"deep-image.ai.", "https://deep-image.ai/x.png", ""},
		"exact, any port":                     {"deep-image.ai", "https://deep-image.ai:8443/x.png", ""},
		"exact, not below":                    {"deep-image.ai", "https://a.deep-image.ai/x.png", fetch.KindHostNotAllowed},
		"exact, not longer":                   {"deep-image.ai", "https://evildeep-image.ai/x.png", fetch.KindHostNotAllowed},
		"exact, not as a prefix":              {"deep-image.ai", "https://deep-image.ai.evil.example/x.png", fetch.KindHostNotAllowed},
		"below":                               {"*.deep-image.ai", "https://a.deep-image.ai/x.png", ""},
		"far below":                           {"*.deep-image.ai", "https://a.b.c.deep-image.ai/x.png", ""},
		"below, not the apex":                 {"*.deep-image.ai", "https://deep-image.ai/x.png", fetch.KindHostNotAllowed},
		"below, not beside":                   {"*.deep-image.ai", "https://evildeep-image.ai/x.png", fetch.KindHostNotAllowed},
		"second item":                         {"a.example,b.example", "https://b.example/", ""},
		"no list":                             {"", "https://b.example/", fetch.KindHostNotAllowed},
		"any":                                 {"*", "https://anything.example/", ""},
		"any, localhost goes on to the guard": {"*", "https://localhost/", ""},
		"any, but no address":                 {"*", "https://93.184.216.34/", fetch.KindHostNotAllowed},
		"any, but no IPv6 address":            {"*", "https://[2606:4700::1]/", fetch.KindHostNotAllowed},
		"any, but no decimal address":         {"*", "https://2130706433/", fetch.KindHostNotAllowed},
		"any, but no octal address":           {"*", "https://0177.0.0.1/", fetch.KindHostNotAllowed},
		"any, but no hexadecimal address":     {"*", "https://0x7f000001/", fetch.KindHostNotAllowed},
		"any, but no mixed address":           {"*", "https://0x7F.1/", fetch.KindHostNotAllowed},
		"any, but no bare 0x":                 {"*", "https://127.0.0.0x/", fetch.KindHostNotAllowed},
		"any, but no short address":           {"*", "https://127.1/", fetch.KindHostNotAllowed},
		"any, but no address with a dot":      {"*", "https://127.0.0.1./", fetch.KindHostNotAllowed},
		"any, but no fifth number":            {"*", "https://1.2.3.4.5/", fetch.KindHostNotAllowed},
		"address listed":                      {"93.184.216.34", "https://93.184.216.34/", ""},
		"address listed, mapped in the URL":   {"93.184.216.34", "https://[::ffff:93.184.216.34]/", ""},
		"address listed, octal in the URL":    {"127.0.0.1", "https://0177.0.0.1/", fetch.KindHostNotAllowed},
		"IPv6 address listed":                 {"2606:4700::1", "https://[2606:4700:0::1]:8443/", ""},
		"IPv6 address listed in brackets":     {"[2606:4700::1]", "https://[2606:4700::1]/", ""},
		"IPv6 address with a zone":            {"fe80::1", "https://[fe80::1%25eth0]/", fetch.KindInvalidURL},
		"punycode":                            {"xn--bcher-kva.example", "https://xn--bcher-kva.example/", ""},
		"international name not in ASCII":     {"*", "https://bücher.example/", fetch.KindInvalidURL},
		"look-alike digits":                   {"*", "https://１２７.０.０.１/", fetch.KindInvalidURL},
		"ideographic dot":                     {"*", "https://deep-image。ai/", fetch.KindInvalidURL},
		"double dot":                          {"*", "https://a..example/", fetch.KindInvalidURL},
		"only dots":                           {"*", "https://../x", fetch.KindInvalidURL},
		"star in the URL":                     {"*.example", "https://*.example/", fetch.KindInvalidURL},
		"label too long":                      {"*", "https://" + strings.Repeat("a", 64) + ".example/", fetch.KindInvalidURL},
		"name too long":                       {"*", "https://" + strings.Repeat("a.", 127) + "example/", fetch.KindInvalidURL},
		"http":                                {"*", "http://a.example/", fetch.KindHostNotAllowed},
		"the vendor's documented sample":      {"deep-image.ai", "https://localhost:8073/images/x.png", fetch.KindHostNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var list configtypes.List
			if row.list != "" {
				list = strings.Split(row.list, ",")
			}
			_, err := newClient(t, fetch.Config{AllowedHosts: list}).Admit(row.url)
			if row.want != "" {
				failed(t, err, row.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ url, want string }{
		"as it came":           {"https://a.test/d/x%2Fy.png?X-Amz-Signature=a%2Bb&q=%7E+", "https://a.test/d/x%2Fy.png?X-Amz-Signature=a%2Bb&q=%7E+"},
		"host normalised":      {"HTTPS://A.Test.:8443/x", "https://a.test:8443/x"},
		"fragment dropped":     {"https://a.test/x#y", "https://a.test/x"},
		"empty port dropped":   {"https://a.test:/x", "https://a.test/x"},
		"odd path kept":        {"https://a.test//../x y", "https://a.test//../x%20y"},
		"http where allowed":   {"http://a.test/x", "http://a.test/x"},
		"IPv6":                 {"https://[::FFFF:127.0.0.1]/x", "https://127.0.0.1/x"},
		"no scheme":            {"a.test/x.png", ""},
		"path only":            {"/x.png", ""},
		"empty":                {"", ""},
		"other scheme":         {"ftp://a.test/x", ""},
		"file":                 {"file:///etc/passwd", ""},
		"storage of a request": {"storage://name/path", ""},
		"no host":              {"https:///x", ""},
		"port without host":    {"https://:443/x", ""},
		"opaque":               {"https:a.test/x", ""},
		"credentials":          {"https://user:hidden@a.test/x", ""},
		"empty credentials":    {"https://@a.test/x", ""},
		"backslash":            {`https://a.test\@evil.example/`, ""},
		"port zero":            {"https://a.test:0/x", ""},
		"port too high":        {"https://a.test:65536/x", ""},
		"line break":           {"https://a.test/x\r\nX-Evil: 1", ""},
		"null byte":            {"https://a.test\x00.example/", ""},
		"space in host":        {"https://a .test/", ""},
		"percent in host":      {"https://%61.test/", ""},
		"too long":             {"https://a.test/" + strings.Repeat("x", 8<<10), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newClient(t, atHome()).Admit(row.url)
			if row.want == "" {
				failure := failed(t, err, fetch.KindInvalidURL)
				if strings.Contains(failure.Text, "hidden") {
					t.Errorf("%q shows a password", failure.Text)
				}
			} else if err != nil || got != row.want {
				t.Errorf("got %q, %v; want %q", got, err, row.want)
			}
		})
	}
}

func TestTheSampleOfTheVendorIsExplained(t *testing.T) {
	t.Parallel()
	_, _, err := get(t, newClient(t, fetch.Config{AllowedHosts: configtypes.List{"deep-image.ai", "*.deep-image.ai"}}), "https://localhost:8073/images/x.png")
	failure := failed(t, err, fetch.KindHostNotAllowed)
	if want := "the host localhost is not on the list of allowed hosts"; failure.Text != want {
		t.Errorf("got %q, want %q", failure.Text, want)
	}
}

func TestNewRefusesWhatIsNoHost(t *testing.T) {
	t.Parallel()
	for _, item := range []string{
		"", " ", "https://a.example", "a.example/x", "a.example:443", "*foo.example", "a.*.example", "**", "*.", "*.*", ".a.example",
		"a..example", "bücher.example", "10.0.0.0/8", "*.10.0.0.1", "2130706433", "0x7f.1", "fe80::1%eth0", "a b", "a,b",
	} {
		t.Run(item, func(t *testing.T) {
			t.Parallel()
			client, err := fetch.New(fetch.Config{AllowedHosts: configtypes.List{item}})
			if err == nil {
				_ = client.Close()
				t.Fatalf("%q was taken for a host", item)
			}
			if !strings.HasPrefix(err.Error(), "the allowed host ") {
				t.Errorf("%q does not say what is wrong", err)
			}
		})
	}
}

func FuzzHostPattern(f *testing.F) {
	for _, seed := range [][2]string{{"*.example.com", "a.example.com"}, {"example.com", "EXAMPLE.com."}, {"*", "localhost"}, {"127.0.0.1", "::ffff:127.0.0.1"}, {"*.a", "0x7f.1"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, host string) {
		client, err := fetch.New(fetch.Config{AllowedHosts: configtypes.List{pattern}})
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		address := url.URL{Scheme: "https", Host: host}
		if strings.Contains(host, ":") {
			address.Host = "[" + host + "]"
		}
		admitted, err := client.Admit(address.String())
		if err != nil {
			return
		}
		named, err := url.Parse(admitted)
		if err != nil {
			t.Fatalf("%q was admitted and cannot be read", admitted)
		}
		if !allows(pattern, named.Hostname()) {
			t.Errorf("the pattern %q admitted %q as %q", pattern, host, admitted)
		}
	})
}

// allows is the meaning of a pattern in the plainest terms.
func allows(pattern, host string) bool {
	pattern = strings.ToLower(strings.TrimSuffix(pattern, "."))
	wanted, errWanted := netip.ParseAddr(strings.Trim(pattern, "[]"))
	if addr, err := netip.ParseAddr(host); err == nil {
		return errWanted == nil && wanted.Unmap() == addr
	}
	below, star := strings.CutPrefix(pattern, "*.")
	return pattern == "*" || pattern == host || star && strings.HasSuffix(host, "."+below)
}

func FuzzURL(f *testing.F) {
	for _, seed := range []string{"https://a.test/x?y=z", "http://127.0.0.1:80/", "https://user:p@a.test", "https://a.test#f", "https://[::ffff:7f00:1]:1/", "https:///x", "//a.test", "https://0x7f.1/\\"} {
		f.Add(seed)
	}
	client := newClient(f, fetch.Config{AllowedHosts: configtypes.List{"*.test", "127.0.0.1"}})
	f.Fuzz(func(t *testing.T, text string) {
		admitted, err := client.Admit(text)
		if err != nil {
			failure, ok := errors.AsType[*fetch.Error](err)
			if !ok || failure.Kind != fetch.KindInvalidURL && failure.Kind != fetch.KindHostNotAllowed {
				t.Errorf("%q fails with %v", text, err)
			}
			return
		}
		parsed, err := url.Parse(admitted)
		if err != nil || parsed.Scheme != "https" || parsed.User != nil || parsed.Fragment != "" {
			t.Fatalf("%q was admitted as %q", text, admitted)
		}
		if host := parsed.Hostname(); host != "127.0.0.1" && !strings.HasSuffix(host, ".test") {
			t.Errorf("%q was admitted with the host %q", text, host)
		}
		if again, err := client.Admit(admitted); err != nil || again != admitted {
			t.Errorf("%q was admitted as %q, and that as %q, %v", text, admitted, again, err)
		}
	})
}
