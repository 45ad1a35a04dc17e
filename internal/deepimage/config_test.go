package deepimage_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := withDefaults(t, deepimage.Config{CacheTime: time.Second})
	want := deepimage.Config{
		URL: "https://deep-image.ai/rest_api", Timeout: 15 * time.Second, SubmitTimeout: 2 * time.Minute, CallsPerSecond: 10, Concurrency: 8,
		CacheTime: time.Second, PendingCacheTime: time.Second, UnknownPerMinute: 10, UnknownGrace: 2 * time.Minute,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("WithDefaults() = %+v, want %+v", got, want)
	}
}

func TestFieldsAreDescribed(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[deepimage.Config]().Fields() {
		if field.Tag.Get("desc") == "" || field.Tag.Get("envconfig") == "" {
			t.Errorf("tags of %s = %q, want envconfig and desc", field.Name, field.Tag)
		}
		if field.Type.Kind() != reflect.String && field.Type.Kind() != reflect.Struct && field.Tag.Get("range") == "" {
			t.Errorf("tags of %s = %q, want a range", field.Name, field.Tag)
		}
	}
}

func withDefaults(t *testing.T, config deepimage.Config) deepimage.Config {
	t.Helper()
	config, err := config.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const good = "https://deep-image.ai/rest_api"
	for name, row := range map[string]struct {
		key, url string
		variable string // "" when it is right
	}{
		"no key":             {"", good, ""},
		"key":                {theKey, good, ""},
		"short key":          {"hunter2", good, "API_KEY"},
		"long key":           {strings.Repeat("hunter2", 100), good, "API_KEY"},
		"key of two words":   {"hunter2 hunter2", good, "API_KEY"},
		"key with line end":  {"hunter2\nX-Other: 1", good, "API_KEY"},
		"key with umlaut":    {"hunter2ümlaut", good, "API_KEY"},
		"other host":         {theKey, "https://api.example.com:8443/v1/", ""},
		"loopback":           {theKey, "http://127.0.0.1:8080/rest_api", ""},
		"loopback of IPv6":   {theKey, "http://[::1]:8080", ""},
		"loopback by name":   {theKey, "http://localhost:8080", ""},
		"plain http":         {theKey, "http://deep-image.ai/rest_api", "URL"},
		"nearly loopback":    {theKey, "http://127.0.0.1.example.com", "URL"},
		"unspecified":        {theKey, "http://0.0.0.0:8080", "URL"},
		"no scheme":          {theKey, "deep-image.ai/rest_api", "URL"},
		"other scheme":       {theKey, "ftp://deep-image.ai/rest_api", "URL"},
		"no host":            {theKey, "https:///rest_api", "URL"},
		"opaque":             {theKey, "https:deep-image.ai", "URL"},
		"user":               {theKey, "https://me:hunter2@deep-image.ai", "URL"},
		"query":              {theKey, good + "?hunter2", "URL"},
		"empty query":        {theKey, good + "?", "URL"},
		"fragment":           {theKey, good + "#hunter2", "URL"},
		"no URL":             {theKey, "https://[::1hunter2", "URL"},
		"https by address":   {theKey, "https://192.0.2.1/rest_api", ""},
		"slashes at the end": {theKey, good + "//", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := withDefaults(t, deepimage.Config{APIKey: secret.New(row.key), URL: row.url})
			err := config.Validate()
			conflict, ok := errors.AsType[*configtypes.Conflict](err)
			if ok != (row.variable != "") || ok && conflict.Name != row.variable || strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("Validate() = %v, want a conflict of %q that does not repeat the value", err, row.variable)
			}
			client, newErr := deepimage.New(config)
			if (newErr == nil) != (err == nil && row.key != "") {
				t.Errorf("New() = %v, want an error like that of Validate(), %v", newErr, err)
			}
			if newErr == nil {
				_ = client.Close()
			}
		})
	}
	err := withDefaults(t, deepimage.Config{CacheTime: time.Second, PendingCacheTime: 2 * time.Second}).Validate()
	if conflict, ok := errors.AsType[*configtypes.Conflict](err); !ok || conflict.Name != "PENDING_CACHE_TIME" {
		t.Errorf("Validate() = %v, want a conflict of PENDING_CACHE_TIME", err)
	}
}
