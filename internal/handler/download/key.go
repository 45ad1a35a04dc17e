package download

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// extensions returns the extensions of image files. A group is one kind of file.
func extensions() [][]string {
	return [][]string{
		{"png"}, {"jpg", "jpeg"}, {"webp"}, {"gif"}, {"tif", "tiff"}, {"bmp"}, {"avif"}, {"heic", "heif"}, {"jxl"}, {"svg"},
	}
}

// name is the file name in the URL of a result.
type name struct {
	written   string // the last segment of the URL
	stem      string // safe, and unique among the results of the event
	changed   bool   // stem differs from what is written
	extension string // as written; "" if it is not that of an image
}

// namesOf returns the names of the results of an event. If two have the same name, the later one gets a number. The
// names depend on the event only.
func namesOf(results []event.Result) []name {
	names := make([]name, len(results))
	used := make(map[string]bool, len(results))
	for n, result := range results {
		named := nameOf(result.URL)
		stem := named.stem
		for number := 2; used[strings.ToLower(named.stem)]; number++ {
			named.stem = stem + "-" + strconv.Itoa(number)
		}
		used[strings.ToLower(named.stem)] = true
		names[n] = named
	}
	return names
}

func nameOf(address string) name {
	written := lastSegment(address)
	stem, extension := splitExtension(written)
	if isSafe(stem, maxStemBytes) {
		return name{written: written, stem: stem, extension: extension}
	}
	return name{written: written, stem: tidy(stem, maxStemBytes, "image"), changed: true, extension: extension}
}

// lastSegment returns the last segment of the path of a URL, unescaped.
func lastSegment(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	segments := strings.Split(strings.TrimRight(parsed.EscapedPath(), "/"), "/")
	last := segments[len(segments)-1]
	if plain, err := url.PathUnescape(last); err == nil {
		return plain
	}
	return last
}

func splitExtension(written string) (stem, extension string) {
	dot := strings.LastIndexByte(written, '.')
	if dot < 0 || !slices.Contains(slices.Concat(extensions()...), strings.ToLower(written[dot+1:])) {
		return written, ""
	}
	return written[:dot], written[dot+1:]
}

// as returns the file name for content with the extension ext. An equivalent extension is kept. A wrong or missing one
// is corrected, and the name is marked like every changed name.
func (n name) as(ext string) string {
	same := n.extension == ext || slices.ContainsFunc(extensions(), func(group []string) bool {
		return slices.Contains(group, ext) && slices.Contains(group, n.extension)
	})
	switch {
	case !same:
		return n.stem + "-" + mark(n.written) + "." + ext
	case n.changed:
		return n.stem + "-" + mark(n.written) + "." + n.extension
	default:
		return n.stem + "." + n.extension
	}
}

// keyOf returns the preferred key of an image: result number index, from 0, of an event, with the extension ext.
func (t Template) keyOf(e event.Event, named name, index int, ext string) string {
	received := e.Received.UTC()
	input, _ := splitExtension(e.Input)
	return t.expand(map[field]string{
		fieldDate:      received.Format("2006-01-02"),
		fieldYear:      received.Format("2006"),
		fieldMonth:     received.Format("01"),
		fieldDay:       received.Format("02"),
		fieldJob:       safe(e.Job, maxJobBytes, "job"),
		fieldEvent:     safe(string(e.ID), maxEventBytes, "event"),
		fieldInput:     safeName(input, e.Job),
		fieldReference: safeName(e.Reference, e.Job),
		fieldName:      named.as(ext),
		fieldIndex:     strconv.Itoa(index + 1),
		fieldExt:       ext,
	})
}

// withHash returns a key that is unique to its content: the start of the SHA-256 precedes the extension.
func withHash(key, sha256 string) string {
	const digits = 12
	dot := strings.LastIndexByte(key, '.')
	return key[:dot] + "-" + sha256[:digits] + key[dot:]
}
