package download

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// extensions of images that an address can end with. A group is one kind of file.
func extensions() [][]string {
	return [][]string{
		{"png"}, {"jpg", "jpeg"}, {"webp"}, {"gif"}, {"tif", "tiff"}, {"bmp"}, {"avif"}, {"heic", "heif"}, {"jxl"}, {"svg"},
	}
}

// name is what the address of a result calls it, taken apart.
type name struct {
	written   string // the last segment of the address
	stem      string // safe, and different from that of every other result of the event
	changed   bool   // stem is not as written
	extension string // as written, "" if it is none of an image
}

// namesOf names the results of an event. Where two have the same name, the later one
// gets a number: what a result is called depends on nothing but the event.
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

// lastSegment is what stands after the last slash of an address's path, unescaped.
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

// as is the name of a file that turned out to have the extension ext. An
// extension that says the same is kept; a wrong or missing one is corrected, and
// the name marked as every changed one is.
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

// keyOf is where an image wants to be: result number index, from 0, of an event,
// a file with the extension ext.
func (t Template) keyOf(e event.Event, named name, index int, ext string) string {
	received := e.Received.UTC()
	return t.expand(map[field]string{
		fieldDate:  received.Format("2006-01-02"),
		fieldYear:  received.Format("2006"),
		fieldMonth: received.Format("01"),
		fieldDay:   received.Format("02"),
		fieldJob:   safe(e.Job, maxJobBytes, "job"),
		fieldEvent: safe(string(e.ID), maxEventBytes, "event"),
		fieldName:  named.as(ext),
		fieldIndex: strconv.Itoa(index + 1),
		fieldExt:   ext,
	})
}

// withHash puts the beginning of a content's SHA-256 before the extension of a key
// that holds something else already.
func withHash(key, sha256 string) string {
	const digits = 12
	dot := strings.LastIndexByte(key, '.')
	return key[:dot] + "-" + sha256[:digits] + key[dot:]
}
