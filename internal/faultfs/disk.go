//go:build linux

package faultfs

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	fuse "github.com/hanwen/go-fuse/v2/fs"
)

// sector is the part of a write that a disk writes whole, in bytes.
const sector = 4096

// id names a file, whatever its names are.
type id struct{ inode, generation uint64 }

// entry is what a name stands for.
type entry struct {
	id     id
	folder bool
}

// file is the content of a file.
type file struct {
	synced  []byte
	pending []write
}

// write is one sector at most, or a change of the size if it has no data.
type write struct {
	data   []byte
	offset int64
}

// renaming is a change of names that becomes durable as a whole.
type renaming struct {
	removed, added string // "" for none
	entry          entry  // of added
}

// disk knows what is synced.
type disk struct {
	files   map[id]*file
	names   map[string]entry // synced
	pending []renaming       // in order
	current map[string]entry // synced or not
}

func newDisk() disk {
	return disk{files: map[id]*file{}, names: map[string]entry{}, current: map[string]entry{}}
}

// loaded is the generation of ids that load chose.
const loaded = 1<<64 - 1

// load reads the folder as it is, as synced.
func (d *disk) load(folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only read from
	err = fs.WalkDir(root.FS(), ".", func(name string, found fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		made := entry{id: id{inode: uint64(len(d.files)) + 1, generation: loaded}, folder: found.IsDir()}
		if !made.folder {
			content, err := root.ReadFile(name)
			if err != nil {
				return err
			}
			d.files[made.id] = &file{synced: content}
		}
		d.names[name] = made
		return nil
	})
	d.current = maps.Clone(d.names)
	return err
}

// adopt connects the id of a file that load found with the one that the kernel uses.
func (d *disk) adopt(name string, inode *fuse.Inode) {
	found, ok := d.current[name]
	if !ok || found.folder || found.id.generation != loaded {
		return
	}
	d.files[idOf(inode)] = d.files[found.id]
}

func (d *disk) file(i id) *file {
	if d.files[i] == nil {
		d.files[i] = &file{}
	}
	return d.files[i]
}

func (d *disk) add(name string, i id, folder bool) {
	if found, ok := d.current[name]; ok && !folder && d.file(found.id) == d.file(i) {
		return // opened, not created
	}
	d.change(renaming{added: name, entry: entry{i, folder}})
}

func (d *disk) remove(name string) { d.change(renaming{removed: name}) }

func (d *disk) rename(from, to string) {
	d.change(renaming{removed: from, added: to, entry: d.current[from]})
}

func (d *disk) change(r renaming) {
	r.apply(d.current)
	d.pending = append(d.pending, r)
}

func (r renaming) apply(names map[string]entry) {
	if r.removed != "" {
		delete(names, r.removed)
	}
	if r.added != "" {
		names[r.added] = r.entry
	}
}

// in reports whether a sync of the folder makes the change durable.
func (r renaming) in(folder string) bool {
	name := r.added
	if name == "" {
		name = r.removed
	}
	return strings.TrimPrefix(path.Dir("/"+name), "/") == folder
}

func (d *disk) syncFolder(folder string) {
	d.pending = slices.DeleteFunc(d.pending, func(r renaming) bool {
		if !r.in(folder) {
			return false
		}
		r.apply(d.names)
		return true
	})
}

func (d *disk) write(i id, data []byte, offset int64) {
	f := d.file(i)
	for len(data) > 0 {
		length := min(int64(len(data)), sector-offset%sector)
		f.pending = append(f.pending, write{slices.Clone(data[:length]), offset})
		data, offset = data[length:], offset+length
	}
}

func (d *disk) truncate(i id, size int64) {
	f := d.file(i)
	f.pending = append(f.pending, write{offset: size})
}

func (d *disk) syncFile(i id) {
	f := d.file(i)
	for _, w := range f.pending {
		f.synced = w.apply(f.synced)
	}
	f.pending = nil
}

func (w write) apply(content []byte) []byte {
	end := w.offset + int64(len(w.data))
	if grow := end - int64(len(content)); grow > 0 {
		content = append(content, make([]byte, grow)...)
	}
	if w.data == nil {
		return content[:w.offset]
	}
	copy(content[w.offset:], w.data)
	return content
}

// content returns a file with the unsynced writes that keep chooses.
func (d *disk) content(i id, keep func() bool) []byte {
	f := d.file(i)
	content := slices.Clone(f.synced)
	for _, w := range f.pending {
		if keep() {
			content = w.apply(content)
		}
	}
	return content
}

// survivors returns the names with the unsynced changes that keep chooses. A name is lost with its folder.
func (d *disk) survivors(keep func() bool) map[string]entry {
	names := maps.Clone(d.names)
	for _, r := range d.pending {
		if keep() {
			r.apply(names)
		}
	}
	maps.DeleteFunc(names, func(name string, _ entry) bool {
		for above := path.Dir(name); above != "."; above = path.Dir(above) {
			if found, ok := names[above]; !ok || !found.folder {
				return true
			}
		}
		return false
	})
	return names
}
