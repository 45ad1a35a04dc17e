package fetch_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"golang.org/x/net/idna"
)

func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		list, url string
		want      fetch.Kind // "" for allowed
	}{
		"exact":                               {list: "deep-image.ai", url: "https://deep-image.ai/x.png"},
		"exact, other case":                   {list: "Deep-Image.AI", url: "https://DEEP-image.ai/x.png"},
		"exact, final dot in the URL":         {list: "deep-image.ai", url: "https://deep-image.ai./x.png"},
		"exact, final dot in the list":        {list: "deep-image.ai.", url: "https://deep-image.ai/x.png"},
		"exact, any port":                     {list: "deep-image.ai", url: "https://deep-image.ai:8443/x.png"},
		"exact, not below":                    {list: "deep-image.ai", url: "https://a.deep-image.ai/x.png", want: fetch.KindHostNotAllowed},
		"exact, not longer":                   {list: "deep-image.ai", url: "https://evildeep-image.ai/x.png", want: fetch.KindHostNotAllowed},
		"exact, not as a prefix":              {list: "deep-image.ai", url: "https://deep-image.ai.evil.example/x.png", want: fetch.KindHostNotAllowed},
		"below":                               {list: "*.deep-image.ai", url: "https://a.deep-image.ai/x.png"},
		"far below":                           {list: "*.deep-image.ai", url: "https://a.b.c.deep-image.ai/x.png"},
		"below, not the apex":                 {list: "*.deep-image.ai", url: "https://deep-image.ai/x.png", want: fetch.KindHostNotAllowed},
		"below, not beside":                   {list: "*.deep-image.ai", url: "https://evildeep-image.ai/x.png", want: fetch.KindHostNotAllowed},
		"second item":                         {list: "a.example,b.example", url: "https://b.example/"},
		"no list":                             {list: "", url: "https://b.example/", want: fetch.KindHostNotAllowed},
		"any":                                 {list: "*", url: "https://anything.example/"},
		"any, localhost goes on to the guard": {list: "*", url: "https://localhost/"},
		"any, but no address":                 {list: "*", url: "https://93.184.216.34/", want: fetch.KindHostNotAllowed},
		"any, but no IPv6 address":            {list: "*", url: "https://[2606:4700::1]/", want: fetch.KindHostNotAllowed},
		"any, but no decimal address":         {list: "*", url: "https://2130706433/", want: fetch.KindHostNotAllowed},
		"any, but no octal address":           {list: "*", url: "https://0177.0.0.1/", want: fetch.KindHostNotAllowed},
		"any, but no hexadecimal address":     {list: "*", url: "https://0x7f000001/", want: fetch.KindHostNotAllowed},
		"any, but no mixed address":           {list: "*", url: "https://0x7F.1/", want: fetch.KindHostNotAllowed},
		"any, but no bare 0x":                 {list: "*", url: "https://127.0.0.0x/", want: fetch.KindHostNotAllowed},
		"any, but no short address":           {list: "*", url: "https://127.1/", want: fetch.KindHostNotAllowed},
		"any, but no address with a dot":      {list: "*", url: "https://127.0.0.1./", want: fetch.KindHostNotAllowed},
		"any, but no fifth number":            {list: "*", url: "https://1.2.3.4.5/", want: fetch.KindHostNotAllowed},
		"address listed":                      {list: "93.184.216.34", url: "https://93.184.216.34/"},
		"address listed, mapped in the URL":   {list: "93.184.216.34", url: "https://[::ffff:93.184.216.34]/"},
		"address listed, octal in the URL":    {list: "127.0.0.1", url: "https://0177.0.0.1/", want: fetch.KindHostNotAllowed},
		"IPv6 address listed":                 {list: "2606:4700::1", url: "https://[2606:4700:0::1]:8443/"},
		"IPv6 address listed in brackets":     {list: "[2606:4700::1]", url: "https://[2606:4700::1]/"},
		"IPv6 address with a zone":            {list: "fe80::1", url: "https://[fe80::1%25eth0]/", want: fetch.KindInvalidURL},
		"punycode":                            {list: "xn--bcher-kva.example", url: "https://xn--bcher-kva.example/"},
		"B7 international name, any":          {list: "*", url: "https://bücher.example/"},
		"B7 international name in both":       {list: "Bücher.example", url: "https://bÜcher.example/x.png"},
		"B7 international name in the list":   {list: "bücher.example", url: "https://xn--bcher-kva.example/x.png"},
		"B7 international name in the URL":    {list: "XN--bcher-kva.example", url: "https://bücher.example:8443/x.png"},
		"B7 international name, decomposed":   {list: "bücher.example", url: "https://bu\u0308cher.example/x.png"},
		"B7 international name, encoded":      {list: "bücher.example", url: "https://b%C3%BCcher.example/x.png"},
		"B7 below an international name":      {list: "*.bücher.example", url: "https://bilder.xn--bcher-kva.example/x.png"},
		"B7 another international name":       {list: "bücher.example", url: "https://bucher.example/x.png", want: fetch.KindHostNotAllowed},
		"B7 joiner in a name":                 {list: "*", url: "https://a\u200db.example/", want: fetch.KindInvalidURL},
		"look-alike digits":                   {list: "*", url: "https://１２７.０.０.１/", want: fetch.KindInvalidURL},
		"ideographic dot":                     {list: "*", url: "https://deep-image。ai/", want: fetch.KindInvalidURL},
		"double dot":                          {list: "*", url: "https://a..example/", want: fetch.KindInvalidURL},
		"only dots":                           {list: "*", url: "https://../x", want: fetch.KindInvalidURL},
		"star in the URL":                     {list: "*.example", url: "https://*.example/", want: fetch.KindInvalidURL},
		"label too long":                      {list: "*", url: "https://" + strings.Repeat("a", 64) + ".example/", want: fetch.KindInvalidURL},
		"name too long":                       {list: "*", url: "https://" + strings.Repeat("a.", 127) + "example/", want: fetch.KindInvalidURL},
		"http":                                {list: "*", url: "http://a.example/", want: fetch.KindHostNotAllowed},
		"the vendor's documented sample":      {list: "deep-image.ai", url: "https://localhost:8073/images/x.png", want: fetch.KindHostNotAllowed},
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
		"as it came":            {url: "https://a.test/d/x%2Fy.png?X-Amz-Signature=a%2Bb&q=%7E+", want: "https://a.test/d/x%2Fy.png?X-Amz-Signature=a%2Bb&q=%7E+"},
		"host normalised":       {url: "HTTPS://A.Test.:8443/x", want: "https://a.test:8443/x"},
		"fragment dropped":      {url: "https://a.test/x#y", want: "https://a.test/x"},
		"empty port dropped":    {url: "https://a.test:/x", want: "https://a.test/x"},
		"odd path kept":         {url: "https://a.test//../x y", want: "https://a.test//../x%20y"},
		"http where allowed":    {url: "http://a.test/x", want: "http://a.test/x"},
		"IPv6":                  {url: "https://[::FFFF:127.0.0.1]/x", want: "https://127.0.0.1/x"},
		"blanks around it":      {url: " \n\thttps://a.test/x.png \r\n", want: "https://a.test/x.png"},
		"lone percent sign":     {url: "https://a.test/50%.png?x=100%", want: "https://a.test/50%25.png?x=100%25"},
		"umlauts and blanks":    {url: "https://a.test/Grüße 1.png?q=ü x", want: "https://a.test/Gr%C3%BC%C3%9Fe%201.png?q=%C3%BC%20x"},
		"B7 international host": {url: "https://bücher.test/x", want: "https://xn--bcher-kva.test/x"},
		"encoded stays so":      {url: "https://a.test/%c3%bc%20%2F?q=%41+", want: "https://a.test/%c3%bc%20%2F?q=%41+"},
		"no scheme":             {url: "a.test/x.png"},
		"path only":             {url: "/x.png"},
		"empty":                 {url: ""},
		"other scheme":          {url: "ftp://a.test/x"},
		"file":                  {url: "file:///etc/passwd"},
		"storage of a request":  {url: "storage://name/path"},
		"no host":               {url: "https:///x"},
		"port without host":     {url: "https://:443/x"},
		"opaque":                {url: "https:a.test/x"},
		"credentials":           {url: "https://user:hidden@a.test/x"},
		"empty credentials":     {url: "https://@a.test/x"},
		"backslash":             {url: `https://a.test\@evil.example/`},
		"port zero":             {url: "https://a.test:0/x"},
		"port too high":         {url: "https://a.test:65536/x"},
		"line break":            {url: "https://a.test/x\r\nX-Evil: 1"},
		"null byte":             {url: "https://a.test\x00.example/"},
		"space in host":         {url: "https://a .test/"},
		"percent in host":       {url: "https://%61.test/"},
		"too long":              {url: "https://a.test/" + strings.Repeat("x", 8<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newClient(t, atHome()).Admit(row.url)
			if row.want == "" {
				failure := failed(t, err, fetch.KindInvalidURL)
				if strings.Contains(failure.Text, "hidden") {
					t.Errorf("text = %q, want no password in it", failure.Text)
				}
			} else if err != nil || got != row.want {
				t.Errorf("Admit(%q) = %q, %v, want %q", row.url, got, err, row.want)
			}
		})
	}
}

func TestSampleOfTheVendor(t *testing.T) {
	t.Parallel()
	_, _, err := get(t, newClient(t, fetch.Config{AllowedHosts: configtypes.List{"deep-image.ai", "*.deep-image.ai"}}), "https://localhost:8073/images/x.png")
	failed(t, err, fetch.KindHostNotAllowed)
}

func TestNewRefusesInvalidHosts(t *testing.T) {
	t.Parallel()
	for _, item := range []string{
		"", " ", "https://a.example", "a.example/x", "a.example:443", "*foo.example", "a.*.example", "**", "*.", "*.*", ".a.example",
		"a..example", "b\u200dc.example", "10.0.0.0/8", "*.10.0.0.1", "2130706433", "0x7f.1", "fe80::1%eth0", "a b", "a,b",
	} {
		t.Run(item, func(t *testing.T) {
			t.Parallel()
			client, err := fetch.New(fetch.Config{AllowedHosts: configtypes.List{item}})
			if err == nil {
				_ = client.Close()
				t.Fatalf("New() with the host %q = no error, want one", item)
			}
		})
	}
}

func FuzzHostPattern(f *testing.F) {
	for _, seed := range [][2]string{{"*.example.com", "a.example.com"}, {"example.com", "EXAMPLE.com."}, {"*", "localhost"}, {"127.0.0.1", "::ffff:127.0.0.1"}, {"*.a", "0x7f.1"}, {"\x94", "\x80"}, {"\ufffd.com", "\x80.com"}} {
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
			t.Fatalf("admitted = %q, want a URL", admitted)
		}
		if !allows(pattern, named.Hostname()) {
			t.Errorf("Admit(%q) = %q, want an error: %q does not match", host, admitted, pattern)
		}
	})
}

// allows is an independent definition of a pattern.
func allows(pattern, host string) bool {
	pattern = strings.ToLower(strings.TrimSuffix(pattern, "."))
	if ascii, err := idna.Lookup.ToASCII(strings.TrimPrefix(pattern, "*.")); err == nil && ascii != "" {
		pattern = pattern[:len(pattern)-len(strings.TrimPrefix(pattern, "*."))] + ascii
	}
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
				t.Errorf("Admit(%q) = %v, want kind %s or %s", text, err, fetch.KindInvalidURL, fetch.KindHostNotAllowed)
			}
			return
		}
		parsed, err := url.Parse(admitted)
		if err != nil || parsed.Scheme != "https" || parsed.User != nil || parsed.Fragment != "" {
			t.Fatalf("Admit(%q) = %q, want an https URL without user and fragment", text, admitted)
		}
		if host := parsed.Hostname(); host != "127.0.0.1" && !strings.HasSuffix(host, ".test") {
			t.Errorf("Admit(%q) has the host %q, want one of the list", text, host)
		}
		if again, err := client.Admit(admitted); err != nil || again != admitted {
			t.Errorf("Admit(%q) = %q, %v, want it unchanged", admitted, again, err)
		}
	})
}
