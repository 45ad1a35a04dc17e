// Package lru provides a cache that evicts the least recently used entry.
package lru

import (
	"container/list"
	"iter"
)

// Cache holds a bounded number of entries. It is not safe for concurrent use.
type Cache[K comparable, V any] struct {
	limit int
	order *list.List // of *entry, the most recently used first
	byKey map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// New returns an empty cache that holds at most limit entries.
func New[K comparable, V any](limit int) *Cache[K, V] {
	return &Cache[K, V]{limit: limit, order: list.New(), byKey: map[K]*list.Element{}}
}

// Get returns the value of key and marks it as used.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	element, ok := c.byKey[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(element)
	return c.entry(element).value, true
}

// Put sets the value of key and marks it as used. It returns the value of another entry that it has evicted, if any.
func (c *Cache[K, V]) Put(key K, value V) (evicted V, ok bool) {
	if element, found := c.byKey[key]; found {
		c.order.MoveToFront(element)
		c.entry(element).value = value
		return evicted, false
	}
	c.byKey[key] = c.order.PushFront(&entry[K, V]{key, value})
	if c.order.Len() <= c.limit {
		return evicted, false
	}
	oldest := c.entry(c.order.Back())
	delete(c.byKey, oldest.key)
	c.order.Remove(c.order.Back())
	return oldest.value, true
}

// Values returns the values of all entries, the most recently used first.
func (c *Cache[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		for element := c.order.Front(); element != nil; element = element.Next() {
			if !yield(c.entry(element).value) {
				return
			}
		}
	}
}

// Len returns the number of entries.
func (c *Cache[K, V]) Len() int { return len(c.byKey) }

func (c *Cache[K, V]) entry(element *list.Element) *entry[K, V] {
	held, _ := element.Value.(*entry[K, V]) // the list holds nothing else
	return held
}
