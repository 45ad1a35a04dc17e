package thumbnail

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxCached and maxCachedBytes bound the cache.
	maxCached      = 10_000
	maxCachedBytes = 128 << 20
	// kept is the share of the bounds, in percent, that remains after an eviction, so that not every new thumbnail causes one.
	kept = 90
	// temporary begins the names of files that are being written.
	temporary = ".new-"
	// none is the content for an image without thumbnail. It is not empty, because a file can be empty after a power cut.
	none = "none\n"
)

// cache is a folder of thumbnails by the SHA-256 of the images. It may be deleted at any time.
type cache struct {
	root *os.Root

	mutex sync.Mutex
	files map[string]cached
	bytes int64
}

type cached struct {
	bytes int64
	used  time.Time
}

// isNone reports whether the entry is none: no thumbnail is that small.
func (c cached) isNone() bool { return c.bytes == int64(len(none)) }

func openCache(folder string) (*cache, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("thumbnail: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("thumbnail: %w", err)
	}
	c := &cache{root: root, files: map[string]cached{}}
	if err := c.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("thumbnail: %w", err), root.Close())
	}
	return c, nil
}

// load reads what an earlier process left, and removes unfinished files.
func (c *cache) load() error {
	entries, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		switch {
		case err != nil || entry.IsDir():
		case strings.HasPrefix(entry.Name(), temporary):
			_ = c.root.Remove(entry.Name()) // if that fails, the next start tries again
		case isSum(entry.Name()):
			c.files[entry.Name()] = cached{info.Size(), info.ModTime()}
			c.bytes += info.Size()
		}
	}
	return nil
}

// look returns an entry and marks it as used.
func (c *cache) look(sum string) (cached, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	known, ok := c.files[sum]
	if ok {
		known.used = time.Now()
		c.files[sum] = known
	}
	return known, ok
}

// get returns the cached thumbnail, or ErrUnfit if the cache says that there is none.
func (c *cache) get(sum string) (content []byte, ok bool, err error) {
	if _, ok := c.look(sum); !ok {
		return nil, false, nil
	}
	content, _ = c.root.ReadFile(sum) // a lost file is made again
	if string(content) == none {
		return nil, true, fmt.Errorf("%w: an earlier attempt failed", ErrUnfit)
	}
	return content, len(content) > 0, nil
}

// put caches a thumbnail. It returns nil if the disk has no space for it.
func (c *cache) put(sum string, content []byte) error {
	name := temporary + sum
	if err := c.root.WriteFile(name, content, 0o640); err != nil {
		_ = c.root.Remove(name)
		return nil // the thumbnail can be shown without the cache
	}
	if err := c.root.Rename(name, sum); err != nil {
		return fmt.Errorf("thumbnail: cache: %w", err)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.bytes += int64(len(content)) - c.files[sum].bytes
	c.files[sum] = cached{int64(len(content)), time.Now()}
	c.evict()
	return nil
}

// evict removes the least recently used thumbnails when a bound is exceeded.
func (c *cache) evict() {
	if len(c.files) <= maxCached && c.bytes <= maxCachedBytes {
		return
	}
	names := make([]string, 0, len(c.files))
	for name := range c.files {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(c.files[a].used.UnixNano(), c.files[b].used.UnixNano()) })
	for _, name := range names {
		if len(c.files) <= maxCached*kept/100 && c.bytes <= maxCachedBytes*kept/100 {
			return
		}
		c.remove(name)
	}
}

// remove removes a thumbnail. One that cannot be removed is counted again at the next start.
func (c *cache) remove(name string) {
	_ = c.root.Remove(name)
	c.bytes -= c.files[name].bytes
	delete(c.files, name)
}

// RemoveUnused removes thumbnails that were not used since a time, at most limit, and returns their number. A thumbnail that is needed
// again is made again.
func (m *Maker) RemoveUnused(since time.Time, limit int) (removed int) {
	return m.cache.removeUnused(since, limit)
}

// Remove removes the thumbnail of the image with this SHA-256, if there is one.
func (m *Maker) Remove(sum string) {
	m.cache.mutex.Lock()
	defer m.cache.mutex.Unlock()
	if _, ok := m.cache.files[sum]; ok {
		m.cache.remove(sum)
	}
}

func (c *cache) removeUnused(since time.Time, limit int) (removed int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for name, file := range c.files {
		if removed == limit {
			break
		}
		if file.used.Before(since) {
			c.remove(name)
			removed++
		}
	}
	return removed
}

// Close closes the folder.
func (m *Maker) Close() error { return m.cache.root.Close() }

// isSum reports whether a text is a SHA-256 in hexadecimal digits.
func isSum(text string) bool {
	const digits = 64
	return len(text) == digits && strings.Trim(text, "0123456789abcdef") == ""
}
