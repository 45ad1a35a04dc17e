package download_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
)

const (
	ordinaryJob   = "ce0e7624-634e-11ee-a699-0242ac14000b"
	ordinaryEvent = "0198c0de-7000-7000-8000-0123456789ab"
)

func received() time.Time {
	return time.Date(2026, 1, 2, 1, 30, 0, 0, time.FixedZone("east", 2*3600)) // the day before in UTC
}

func decodeTemplate(t *testing.T, text string) download.Template {
	t.Helper()
	var template download.Template
	if err := template.Decode(text); err != nil {
		t.Fatalf("Decode(%q) = %v, want no error", text, err)
	}
	return template
}

func keysOf(t *testing.T, template, job, ext string, addresses ...string) []string {
	t.Helper()
	e := event.Event{ID: ordinaryEvent, Job: job, Received: received()}
	var results []event.Result
	for _, address := range addresses {
		results = append(results, event.Result{URL: address})
	}
	return download.Keys(decodeTemplate(t, template), e, results, ext)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	const folder = "2026-01-01/" + ordinaryJob + "/"
	for name, row := range map[string]struct {
		template, job, ext string // "" is the default template, the ordinary job and png
		addresses          []string
		want               []string
	}{
		"as documented": {
			addresses: []string{"https://deep-image.ai/images/2023-10-05/1f48bcdb-0117-49aa-b9e3-c5df10680642.png"},
			want:      []string{folder + "1f48bcdb-0117-49aa-b9e3-c5df10680642.png"},
		},
		"query and fragment are ignored": {
			addresses: []string{"https://h/a/photo.png?X-Amz-Signature=secret#/etc/passwd"}, want: []string{folder + "photo.png"},
		},
		"extension of the same kind stays": {
			ext: "jpg", addresses: []string{"https://h/photo.jpeg"}, want: []string{folder + "photo.jpeg"},
		},
		"wrong extension":   {addresses: []string{"https://h/photo.jpg"}, want: []string{folder + "photo-aff6100bd4.png"}},
		"no extension":      {addresses: []string{"https://h/photo"}, want: []string{folder + "photo-55c64d0fcd.png"}},
		"unknown extension": {addresses: []string{"https://h/photo.php"}, want: []string{folder + "photo.php-ce6714a677.png"}},
		"no name":           {addresses: []string{"https://h"}, want: []string{folder + "image-e3b0c44298.png"}},
		"folder of dots":    {addresses: []string{"https://h/a/../../"}, want: []string{folder + "image-5ec1f7e700.png"}},
		"escaped slashes":   {addresses: []string{"https://h/..%2F..%2Fetc%2Fpasswd.png"}, want: []string{folder + "etc-passwd-d6f9a28f75.png"}},
		"spaces":            {addresses: []string{"https://h/my%20photo%20(1).png"}, want: []string{folder + "my-photo-1-ba10b433f4.png"}},
		"capitals":          {addresses: []string{"https://h/IMG_0001.png"}, want: []string{folder + "IMG_0001-0cc4cc84d5.png"}},
		"device":            {addresses: []string{"https://h/con.png"}, want: []string{folder + "_con-1158428540.png"}},
		"looks marked":      {addresses: []string{"https://h/photo-0123456789.png"}, want: []string{folder + "photo-0123456789-e31326b2b2.png"}},
		"same names": {
			addresses: []string{"https://a/p.png", "https://b/p.png", "https://c/p-2.png", "https://d/p.png"},
			want:      []string{folder + "p.png", folder + "p-2.png", folder + "p-2-2.png", folder + "p-3.png"},
		},
		"hostile job": {job: "../../x", addresses: []string{"https://h/p.png"}, want: []string{"2026-01-01/x-9cdf6a5010/p.png"}},
		"all fields": {
			template: "year={year}/{month}_{day}/{event}.{index}/{job}.{ext}", ext: "webp", addresses: []string{"https://h/p.png"},
			want: []string{"year=2026/01_01/" + ordinaryEvent + ".1/" + ordinaryJob + ".webp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template, job, ext := orDefault(row.template, download.DefaultTemplate), orDefault(row.job, ordinaryJob), orDefault(row.ext, "png")
			got := keysOf(t, template, job, ext, row.addresses...)
			if !slices.Equal(got, row.want) {
				t.Errorf("\ngot  %q\nwant %q", got, row.want)
			}
		})
	}
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func TestKeysWithNames(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, template, want string
		names                event.Names
	}{
		{
			name: "as they are", template: "{reference}/{input}-{index}.{ext}", names: event.Names{Input: "shoe_red.JPG", Reference: "SKU-4711"},
			want: "SKU-4711/shoe_red-1.png",
		},
		{name: "none", template: "{reference}/{input}.{ext}", want: ordinaryJob + "/" + ordinaryJob + ".png"},
		{
			name: "other characters", template: "{reference}.{ext}", names: event.Names{Reference: "rote Schuhe / Größe 42"},
			want: "rote-Schuhe-Gr-e-42-95530ab41b.png",
		},
		{name: "only other characters", template: "{reference}.{ext}", names: event.Names{Reference: "画像"}, want: "name-6fd5a7ccea.png"},
		{name: "folders", template: "{reference}/{name}", names: event.Names{Reference: "../../etc"}, want: "etc-74ccf3c5b4/p.png"},
		{name: "device", template: "{input}.{ext}", names: event.Names{Input: "CON.png"}, want: "_CON-a3dbc4b644.png"},
		{name: "looks marked", template: "{input}.{ext}", names: event.Names{Input: "a-0123456789.png"}, want: "a-0123456789-14599cfd54.png"},
		{name: "hidden", template: "{input}.{ext}", names: event.Names{Input: ".png"}, want: ordinaryJob + ".png"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e := event.Event{ID: ordinaryEvent, Job: ordinaryJob, Names: row.names, Received: received()}
			got := download.Keys(decodeTemplate(t, row.template), e, []event.Result{{URL: "https://h/p.png"}}, "png")
			if got[0] != row.want {
				t.Errorf("key = %s, want %s", got[0], row.want)
			}
			if err := blobstore.CheckKey(got[0]); err != nil {
				t.Errorf("CheckKey(%s) = %v, want no error", got[0], err)
			}
		})
	}
}

func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long", 64)
	first := keysOf(t, download.DefaultTemplate, long+"1", "png", "https://h/"+long+"1.png")[0]
	second := keysOf(t, download.DefaultTemplate, long+"2", "png", "https://h/"+long+"2.png")[0]
	checkKey(t, first)
	if first == second {
		t.Errorf("keys of two jobs = %q, want different ones", first)
	}
}

func TestInvalidTemplates(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", strings.Repeat("x", 257),
		"/{name}", "{job}//{name}", "{job}/",
		"{job}/{name", "{job}/{size}/{name}", "{}/{name}", "{job}}/{name}",
		"../{name}", ".hidden/{name}", "-{name}", "{job}./{name}", "a..b/{name}",
		"my photos/{name}", `{job}\{name}`, "größe/{name}",
		"{job}", "{job}/{index}", "{job}/{ext}", "{name}/{date}", // no extension at the end
		"{date}/{index}.{ext}",                                           // the same key for all events
		"{job}{job}{job}/{name}", strings.Repeat("{job}/", 9) + "{name}", // too long
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			var template download.Template
			if err := template.Decode(text); err == nil {
				t.Errorf("Decode(%q) = nil, want an error", text)
			}
		})
	}
}

var (
	plain  = regexp.MustCompile(`^[A-Za-z0-9_=][A-Za-z0-9._=-]*$`)
	device = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)`)
)

// checkKey checks what holds for every key, also after a collision.
func checkKey(t *testing.T, key string) {
	t.Helper()
	if err := blobstore.CheckKey(key); err != nil {
		t.Error(err)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if !plain.MatchString(segment) || device.MatchString(segment) || strings.Contains(segment, "..") || strings.HasSuffix(segment, ".") {
			t.Errorf("segment %q of %q is not safe, want a safe one", segment, key)
		}
	}
	if !strings.HasSuffix(key, ".png") {
		t.Errorf("key = %q, want the extension .png", key)
	}
}

func FuzzKey(f *testing.F) {
	f.Add(download.DefaultTemplate, ordinaryJob, "https://h/a.png", "other", "https://h/b.png")
	f.Add("{event}.{ext}", "..", "https://h/..%2f..%2fx", "../..", "https://h/%00")
	f.Add("co{job}/{name}", "n", "https://h/con.png", "N", "https://h/CON.png")
	f.Add("{year}/{month}{day}/{job}-{name}", "Job", "https://h/Photo.PNG", "job", "https://h/photo.png")
	f.Add(download.DefaultTemplate, "x-0123456789", "https://h/", "ä", "https://h/.png")
	f.Add("={name}", "0", "0", "0", "0")
	f.Fuzz(func(t *testing.T, text, job, address, otherJob, otherAddress string) {
		var template download.Template
		if template.Decode(text) != nil {
			return
		}
		results := []event.Result{{URL: address}, {URL: otherAddress}, {URL: address}}
		hash := strings.Repeat("0123456789abcdef", 4)
		for _, key := range download.Keys(template, event.Event{ID: ordinaryEvent, Job: job, Received: received()}, results, "png") {
			checkKey(t, key)
			checkKey(t, download.WithHash(key, hash))
		}
		checkDistinct(t, job, otherJob, address, otherAddress)
	})
}

// checkDistinct checks the default template, whose fields are in separate segments.
func checkDistinct(t *testing.T, job, otherJob, address, otherAddress string) {
	t.Helper()
	one := keysOf(t, download.DefaultTemplate, job, "png", address, otherAddress)
	if strings.EqualFold(one[0], one[1]) {
		t.Errorf("keys of two results = %q, want different ones", one[0])
	}
	alone := keysOf(t, download.DefaultTemplate, job, "png", otherAddress)
	if download.Written(address) != download.Written(otherAddress) && strings.EqualFold(one[0], alone[0]) {
		t.Errorf("keys of %q and %q = %q, want different ones", address, otherAddress, one[0])
	}
	two := keysOf(t, download.DefaultTemplate, otherJob, "png", address)
	if job != otherJob && strings.EqualFold(one[0], two[0]) {
		t.Errorf("keys of the jobs %q and %q = %q, want different ones", job, otherJob, one[0])
	}
}
