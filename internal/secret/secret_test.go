package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/secret"
)

const hidden = "hunter2-hunter2-hunter2"

type settings struct {
	Token  secret.Value
	Tokens secret.List
}

func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	value, list := secret.New(hidden), secret.List{secret.New(hidden), secret.New(hidden)}
	rows := map[string]any{
		"value": value, "pointer": &value, "list": list,
		"struct": settings{value, list}, "pointer to struct": &settings{value, list},
		"map": map[string]secret.Value{"a": value},
	}
	for name, shown := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for form, text := range everyForm(t, shown) {
				if strings.Contains(text, "hunter2") {
					t.Errorf("%s = %s, want it without the secret", form, text)
				}
				if !strings.Contains(text, secret.Placeholder) {
					t.Errorf("%s = %s, want the placeholder in it", form, text)
				}
			}
		})
	}
}

func everyForm(t *testing.T, shown any) map[string]string {
	t.Helper()
	forms := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		forms[verb] = fmt.Sprintf(verb, shown)
	}
	marshalled, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	forms["json"] = string(marshalled)
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("settings", "shown", shown)
	forms["slog"] = logged.String()
	return forms
}

func TestReveal(t *testing.T) {
	t.Parallel()
	var decoded secret.Value
	if err := decoded.Decode("  " + hidden + "\n"); err != nil {
		t.Fatal(err)
	}
	if decoded.Reveal() != hidden || decoded.IsZero() {
		t.Errorf("got %d bytes, want the %d of the secret", len(decoded.Reveal()), len(hidden))
	}
	if !secret.New("").IsZero() {
		t.Error("IsZero of the empty secret = false, want true")
	}
}

func TestListDecode(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name  string
		text  string
		items []string // nil when the text must be refused
	}{
		{"one", "alpha", []string{"alpha"}},
		{"commas and spaces", " alpha , beta,gamma ", []string{"alpha", "beta", "gamma"}},
		{"lines", "alpha\nbeta", []string{"alpha", "beta"}},
		{"lines of Windows", "alpha\r\nbeta", []string{"alpha", "beta"}},
		{"nothing", "", nil},
		{"only a comma", ",", nil},
		{"comma at the end", "alpha,", nil},
		{"blank line", "alpha\n\nbeta", nil},
		{"blank item", "alpha, ,beta", nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var list secret.List
			err := list.Decode(row.text)
			if (err != nil) != (row.items == nil) {
				t.Fatalf("error is %v", err)
			}
			if len(list) != len(row.items) {
				t.Fatalf("%d items, want %d", len(list), len(row.items))
			}
			for i, want := range row.items {
				if list[i].Reveal() != want {
					t.Errorf("item %d is %q, want %q", i, list[i].Reveal(), want)
				}
			}
		})
	}
}

func TestListDecodeItems(t *testing.T) {
	t.Parallel()
	start := regexp.MustCompile(`^(?:[a-z]+=)?https?://`)
	for _, row := range []struct {
		name  string
		text  string
		items []string // nil when the text must be refused
	}{
		{name: "E7 comma in an address", text: "https://a.test/?x=1,2", items: []string{"https://a.test/?x=1,2"}},
		{name: "E7 commas in and between addresses", text: "https://a.test/?x=1,,2, http://b.test/,c=https://c.test", items: []string{"https://a.test/?x=1,,2", "http://b.test/", "c=https://c.test"}},
		{name: "E7 lines", text: "https://a.test/?x=1,2\r\nhttps://b.test/?to=1,https://c.test\n\n", items: []string{"https://a.test/?x=1,2", "https://b.test/?to=1,https://c.test"}},
		{name: "E7 no address", text: "a,b", items: []string{"a,b"}},
		{name: "E7 comma at the end", text: "https://a.test/,", items: nil},
		{name: "E7 two commas between addresses", text: "https://a.test/,, https://b.test/", items: nil},
		{name: "E7 commas at the ends of lines", text: "https://a.test/,\nhttps://b.test/,", items: []string{"https://a.test/,", "https://b.test/,"}},
		{name: "E7 empty", text: "", items: nil},
		{name: "E7 comma first", text: ",https://a.test", items: nil},
		{name: "E7 blank line", text: "https://a.test\n\nhttps://b.test", items: nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var list secret.List
			err := list.DecodeItems(row.text, start)
			var got []string
			for _, item := range list {
				got = append(got, item.Reveal())
			}
			if (err != nil) != (row.items == nil) || !slices.Equal(got, row.items) {
				t.Errorf("items = %q, error %v; want %q", got, err, row.items)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	list := secret.List{secret.New("first-token"), secret.New("second-token")}
	rows := []struct {
		name      string
		list      secret.List
		presented string
		want      bool
	}{
		{"first", list, "first-token", true},
		{"second", list, "second-token", true},
		{"twice in the list", secret.List{secret.New("a"), secret.New("a")}, "a", true},
		{"other case", list, "First-Token", false},
		{"beginning", list, "first-", false},
		{"longer", list, "first-token-", false},
		{"both", list, "first-token,second-token", false},
		{"empty", list, "", false},
		{"empty list", nil, "first-token", false},
		{"empty against empty list", nil, "", false},
		{"empty against an empty secret", secret.List{secret.New("")}, "", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := row.list.Match(row.presented); got != row.want {
				t.Errorf("match is %t, want %t", got, row.want)
			}
		})
	}
}
