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

// TestDefaultsAreThoseOfTheTags compares what counts without an environment with what counts in one.
func TestDefaultsAreThoseOfTheTags(t *testing.T) {
	t.Parallel()
	config := reflect.ValueOf(deepimage.Config{}.WithDefaults())
	for n := range config.NumField() {
		field := config.Type().Field(n)
		tag, got := field.Tag.Get("default"), fmt.Sprint(config.Field(n))
		if duration, ok := reflect.TypeAssert[time.Duration](config.Field(n)); ok {
			want, err := time.ParseDuration(tag)
			if err != nil || want != duration {
				t.Errorf("%s is %s, its tag says %s", field.Name, duration, tag)
			}
		} else if got != tag && tag != "" {
			t.Errorf("%s is %s, its tag says %s", field.Name, got, tag)
		}
		if field.Tag.Get("desc") == "" || field.Tag.Get("envconfig") == "" {
			t.Errorf("%s is not described", field.Name)
		}
		if field.Type.Kind() != reflect.String && field.Type.Kind() != reflect.Struct && field.Tag.Get("range") == "" {
			t.Errorf("%s has no range", field.Name)
		}
	}
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
			config := deepimage.Config{APIKey: secret.New(row.key), URL: row.url}.WithDefaults()
			err := config.Validate()
			conflict, ok := errors.AsType[*configtypes.Conflict](err)
			if ok != (row.variable != "") || ok && conflict.Name != row.variable || strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("%v", err)
			}
			client, newErr := deepimage.New(config)
			if (newErr == nil) != (err == nil && row.key != "") {
				t.Errorf("%v", newErr)
			}
			if newErr == nil {
				_ = client.Close()
			}
		})
	}
	config := deepimage.Config{CacheTime: time.Second, PendingCacheTime: 2 * time.Second}.WithDefaults()
	if err := config.Validate(); err == nil || !strings.HasPrefix(err.Error(), "PENDING_CACHE_TIME ") {
		t.Errorf("%v", err)
	}
}
