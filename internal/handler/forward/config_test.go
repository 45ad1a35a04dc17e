package forward_test

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

func names(c forward.Config) string {
	var all []string
	for _, step := range c.Steps() {
		all = append(all, step.Name)
	}
	return strings.Join(all, " ")
}

func TestSteps(t *testing.T) {
	t.Parallel()
	rows := map[string]string{
		"https://hooks.example.com/a":                      "forward-hooks-example-com-878390d4",
		"https://hooks.example.com/a?token=t0ken":          "forward-hooks-example-com-878390d4", // the query is not in it
		"https://HOOKS.example.com/a":                      "forward-hooks-example-com-878390d4",
		"https://hooks.example.com/b":                      "forward-hooks-example-com-7efe7847",
		"http://127.0.0.1:8080/":                           "forward-127-0-0-1-8080-0bc3c2f1",
		"http://[::1]:9/x":                                 "forward-1-9-0acfb2c3",
		"https://xn--bcher-kva.example":                    "forward-xn-bcher-kva-example-edcf346b",
		"crm=https://hooks.example.com/a?b=c":              "forward-crm",
		"a-b-2=http://localhost/a":                         "forward-a-b-2",
		"https://" + strings.Repeat("a1.", 60) + "example": "forward-a1-a1-a1-a1-a1-a1-a1-a1-a1-a1-a1-a1-a1-a-755b286c",
	}
	valid := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`) // what River takes as the name of a queue
	for address, want := range rows {
		c := to(address)
		must(t, c.Validate())
		if got := names(c); got != want || len(got) > 60 || !valid.MatchString(got) {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
	a, b, c := "https://a.example/x", "https://b.example/x", "n=https://c.example/x"
	one, other := to(a), to(a)
	one.URLs, other.URLs = list(a, b), list(b, c, a)
	first, second := strings.Fields(names(one)), strings.Fields(names(other))
	if first[0] != second[2] || first[1] != second[0] {
		t.Errorf("names depend on the order: %v, %v", first, second)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	c := to("https://a.example")
	c.Timeout, c.Concurrency, c.Rate = 30*time.Second, 8, 4
	if got, want := c.Steps()[0].Limits, (handler.Limits{Concurrency: 8, Timeout: 37 * time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	c.Mode = "image"
	if got := c.Limits().Timeout; got != 30*time.Minute+7*time.Second {
		t.Errorf("with images it is %s", got)
	}
}

// secretWord is in every value: no fault shows it.
const secretWord = "s3cretw0rd"

func TestFaults(t *testing.T) {
	t.Parallel()
	encode := func(bytes int) string {
		return base64.StdEncoding.EncodeToString([]byte((secretWord + strings.Repeat("x", 64))[:bytes]))
	}
	many := strings.Split(strings.Repeat("https://a.example/"+secretWord+" ", 33), " ")
	rows := []struct {
		name   string
		change func(c *forward.Config)
		want   string // a regular expression
	}{
		{"no target", func(c *forward.Config) { c.URLs = nil }, `^URLS must name at least one`},
		{"too many", func(c *forward.Config) { c.URLs = list(many...) }, `^URLS has 34 addresses`},
		{"no URL", func(c *forward.Config) { c.URLs = list("https://a/b", secretWord) }, `^URLS has an address, number 2, that is not a URL`},
		{"no host", func(c *forward.Config) { c.URLs = list("https:///" + secretWord) }, `that is not a URL`},
		{"other scheme", func(c *forward.Config) { c.URLs = list("ftp://a/" + secretWord) }, `that is not a URL`},
		{"control character", func(c *forward.Config) { c.URLs = list("https://a/\x7f" + secretWord) }, `that is not a URL`},
		{"user", func(c *forward.Config) { c.URLs = list("https://u:" + secretWord + "@a/") }, `holds a user name`},
		{"fragment", func(c *forward.Config) { c.URLs = list("https://a/#" + secretWord) }, `has a fragment`},
		{"plain http", func(c *forward.Config) { c.URLs = list("http://a.example/" + secretWord) }, `plain http .*ALLOW_HTTP`},
		{"plain http to a public address", func(c *forward.Config) { c.URLs = list("http://192.0.2.1/" + secretWord) }, `plain http`},
		{"capital name", func(c *forward.Config) { c.URLs = list("CRM=https://a/" + secretWord) }, `a name of small letters`},
		{"long name", func(c *forward.Config) { c.URLs = list(strings.Repeat("a", 41) + "=https://a/") }, `more than 40`},
		{"twice", func(c *forward.Config) { c.URLs = list("https://a/"+secretWord, "https://a/"+secretWord) }, `numbers 1 and 2, that are the same`},
		{"same query", func(c *forward.Config) { c.URLs = list("https://a/?b="+secretWord, "https://a/?c="+secretWord) }, `nothing but the query`},
		{"same name", func(c *forward.Config) { c.URLs = list("a=https://a/", "a=https://b/") }, `same name`},

		{"empty secret", func(c *forward.Config) { c.Secrets = list("whsec_") }, `^SECRETS has a secret, number 1, of 0 bytes`},
		{"short secret", func(c *forward.Config) { c.Secrets = list(whsec("a"), "whsec_"+encode(23)) }, `number 2, of 23 bytes`},
		{"long secret", func(c *forward.Config) { c.Secrets = list("whsec_" + encode(65)) }, `of 65 bytes`},
		{"no prefix", func(c *forward.Config) { c.Secrets = list(encode(32)) }, `not whsec_ and base64`},
		{"no base64", func(c *forward.Config) { c.Secrets = list("whsec_" + secretWord + "!") }, `not whsec_ and base64`},
		{"many secrets", func(c *forward.Config) { c.Secrets = make(secret.List, 9) }, `at most 8`},

		{"no header", func(c *forward.Config) { c.Headers = list("A: b", secretWord) }, `^HEADERS has an item, number 2, that is not written as Name: value`},
		{"header without a name", func(c *forward.Config) { c.Headers = list(": " + secretWord) }, `not written as`},
		{"header without a value", func(c *forward.Config) { c.Headers = list("A:") }, `not written as`},
		{"header with a line end", func(c *forward.Config) { c.Headers = list("A: b\r\nC: " + secretWord) }, `not written as`},
		{"header with a space", func(c *forward.Config) { c.Headers = list("A b: " + secretWord) }, `not written as`},
		{"header of the connection", func(c *forward.Config) { c.Headers = list("transfer-encoding: " + secretWord) }, `belongs to the connection`},
		{"host", func(c *forward.Config) { c.Headers = list("Host: " + secretWord) }, `belongs to the connection`},
		{"content", func(c *forward.Config) { c.Headers = list("content-type: " + secretWord) }, `sets Content-Type, which the receiver sets`},
		{"signature", func(c *forward.Config) { c.Headers = list("Webhook-Id: " + secretWord) }, `which the receiver sets`},
		{"two authorizations", func(c *forward.Config) {
			c.Headers, c.BearerToken = list("authorization: Basic "+secretWord), secret.New(secretWord)
		}, `^HEADERS has Authorization`},
		{"bearer token with a space", func(c *forward.Config) { c.BearerToken = secret.New("a " + secretWord) }, `^BEARER_TOKEN holds`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := to("https://a.example/" + secretWord)
			row.change(&c)
			err := c.Validate()
			var conflict *configtypes.Conflict
			if !errors.As(err, &conflict) || !regexp.MustCompile(row.want).MatchString(conflict.Error()) {
				t.Fatalf("got %v, want %s", err, row.want)
			}
			if strings.Contains(conflict.Error(), secretWord) {
				t.Errorf("the fault tells the secret: %s", conflict)
			}
			deps := handler.Deps{Step: "forward-a"}
			if steps := c.Steps(); len(steps) > 0 {
				deps.Step = steps[0].Name
			}
			if _, err := forward.New(t.Context(), c, deps); err == nil || strings.Contains(err.Error(), secretWord) {
				t.Errorf("a handler of it: %v", err)
			}
		})
	}
}

func TestWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"http://localhost:8080/hook", "http://app.localhost", "http://127.0.0.1", "http://10.1.2.3/", "http://[fd00::1]:80/x", "https://a.example:8443/a?b=c",
	} {
		if err := to(address).Validate(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	c := to("http://app:8080/hook")
	c.AllowHTTP = true
	c.Secrets = list(whsec("a"), whsec("b"))
	c.Headers = list("Authorization: Basic dTpw", "X-A:b", "X-A:c")
	must(t, c.Validate())
}
