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
	valid := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`) // a queue name of River
	for address, want := range rows {
		c := to(address)
		must(t, c.Validate())
		if got := names(c); got != want || len(got) > 60 || !valid.MatchString(got) {
			t.Errorf("step of %s = %s, want %s", address, got, want)
		}
	}
	a, b, c := "https://a.example/x", "https://b.example/x", "n=https://c.example/x"
	one, other := to(a), to(a)
	one.URLs, other.URLs = list(a, b), list(b, c, a)
	first, second := strings.Fields(names(one)), strings.Fields(names(other))
	if first[0] != second[2] || first[1] != second[0] {
		t.Errorf("names = %v and %v, want the same for the same URL", first, second)
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
		t.Errorf("timeout with images = %s, want 30m7s", got)
	}
}

// secretWord is in every value. No error contains it.
const secretWord = "s3cretw0rd"

func TestInvalidConfig(t *testing.T) {
	t.Parallel()
	encode := func(bytes int) string {
		return base64.StdEncoding.EncodeToString([]byte((secretWord + strings.Repeat("x", 64))[:bytes]))
	}
	many := strings.Split(strings.Repeat("https://a.example/"+secretWord+" ", 33), " ")
	rows := []struct {
		name   string
		change func(c *forward.Config)
		want   string // the variable
	}{
		{name: "no target", change: func(c *forward.Config) { c.URLs = nil }, want: "URLS"},
		{name: "too many", change: func(c *forward.Config) { c.URLs = list(many...) }, want: "URLS"},
		{name: "no URL", change: func(c *forward.Config) { c.URLs = list("https://a/b", secretWord) }, want: "URLS"},
		{name: "no host", change: func(c *forward.Config) { c.URLs = list("https:///" + secretWord) }, want: "URLS"},
		{name: "other scheme", change: func(c *forward.Config) { c.URLs = list("ftp://a/" + secretWord) }, want: "URLS"},
		{name: "control character", change: func(c *forward.Config) { c.URLs = list("https://a/\x7f" + secretWord) }, want: "URLS"},
		{name: "user", change: func(c *forward.Config) { c.URLs = list("https://u:" + secretWord + "@a/") }, want: "URLS"},
		{name: "fragment", change: func(c *forward.Config) { c.URLs = list("https://a/#" + secretWord) }, want: "URLS"},
		{name: "plain http", change: func(c *forward.Config) { c.URLs = list("http://a.example/" + secretWord) }, want: "URLS"},
		{name: "plain http to a public address", change: func(c *forward.Config) { c.URLs = list("http://192.0.2.1/" + secretWord) }, want: "URLS"},
		{name: "capital name", change: func(c *forward.Config) { c.URLs = list("CRM=https://a/" + secretWord) }, want: "URLS"},
		{name: "long name", change: func(c *forward.Config) { c.URLs = list(strings.Repeat("a", 41) + "=https://a/") }, want: "URLS"},
		{name: "twice", change: func(c *forward.Config) { c.URLs = list("https://a/"+secretWord, "https://a/"+secretWord) }, want: "URLS"},
		{name: "same query", change: func(c *forward.Config) { c.URLs = list("https://a/?b="+secretWord, "https://a/?c="+secretWord) }, want: "URLS"},
		{name: "same name", change: func(c *forward.Config) { c.URLs = list("a=https://a/", "a=https://b/") }, want: "URLS"},

		{name: "empty secret", change: func(c *forward.Config) { c.Secrets = list("whsec_") }, want: "SECRETS"},
		{name: "short secret", change: func(c *forward.Config) { c.Secrets = list(whsec("a"), "whsec_"+encode(23)) }, want: "SECRETS"},
		{name: "long secret", change: func(c *forward.Config) { c.Secrets = list("whsec_" + encode(65)) }, want: "SECRETS"},
		{name: "no prefix", change: func(c *forward.Config) { c.Secrets = list(encode(32)) }, want: "SECRETS"},
		{name: "no base64", change: func(c *forward.Config) { c.Secrets = list("whsec_" + secretWord + "!") }, want: "SECRETS"},
		{name: "many secrets", change: func(c *forward.Config) { c.Secrets = make(secret.List, 9) }, want: "SECRETS"},

		{name: "no header", change: func(c *forward.Config) { c.Headers = list("A: b", secretWord) }, want: "HEADERS"},
		{name: "header without a name", change: func(c *forward.Config) { c.Headers = list(": " + secretWord) }, want: "HEADERS"},
		{name: "header without a value", change: func(c *forward.Config) { c.Headers = list("A:") }, want: "HEADERS"},
		{name: "header with a line end", change: func(c *forward.Config) { c.Headers = list("A: b\r\nC: " + secretWord) }, want: "HEADERS"},
		{name: "header with a space", change: func(c *forward.Config) { c.Headers = list("A b: " + secretWord) }, want: "HEADERS"},
		{name: "header of the connection", change: func(c *forward.Config) { c.Headers = list("transfer-encoding: " + secretWord) }, want: "HEADERS"},
		{name: "host", change: func(c *forward.Config) { c.Headers = list("Host: " + secretWord) }, want: "HEADERS"},
		{name: "content", change: func(c *forward.Config) { c.Headers = list("content-type: " + secretWord) }, want: "HEADERS"},
		{name: "signature", change: func(c *forward.Config) { c.Headers = list("Webhook-Id: " + secretWord) }, want: "HEADERS"},
		{name: "two authorizations", change: func(c *forward.Config) {
			c.Headers, c.BearerToken = list("authorization: Basic "+secretWord), secret.New(secretWord)
		}, want: "HEADERS"},
		{name: "bearer token with a space", change: func(c *forward.Config) { c.BearerToken = secret.New("a " + secretWord) }, want: "BEARER_TOKEN"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := to("https://a.example/" + secretWord)
			row.change(&c)
			err := c.Validate()
			conflict, ok := errors.AsType[*configtypes.Conflict](err)
			if !ok || conflict.Name != row.want || strings.Contains(conflict.Error(), secretWord) {
				t.Fatalf("error = %v, want a conflict of %s without the secret", err, row.want)
			}
			deps := handler.Deps{Step: "forward-a"}
			if steps := c.Steps(); len(steps) > 0 {
				deps.Step = steps[0].Name
			}
			if _, err := forward.New(t.Context(), c, deps); err == nil || strings.Contains(err.Error(), secretWord) {
				t.Errorf("New: error = %v, want one without the secret", err)
			}
		})
	}
}

func TestValidConfig(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"http://localhost:8080/hook", "http://app.localhost", "http://127.0.0.1", "http://10.1.2.3/", "http://[fd00::1]:80/x", "https://a.example:8443/a?b=c",
	} {
		if err := to(address).Validate(); err != nil {
			t.Errorf("%s: error = %v, want none", address, err)
		}
	}
	c := to("http://app:8080/hook")
	c.AllowHTTP = true
	c.Secrets = list(whsec("a"), whsec("b"))
	c.Headers = list("Authorization: Basic dTpw", "X-A:b", "X-A:c")
	must(t, c.Validate())
}
