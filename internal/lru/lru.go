// Package lru provides a cache that evicts the least recently used entry.
package lru

import "container/list"

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

// Put sets the value of key, marks it as used and evicts another entry if there are too many.
func (c *Cache[K, V]) Put(key K, value V) {
	if element, ok := c.byKey[key]; ok {
		c.order.MoveToFront(element)
		c.entry(element).value = value
		return
	}
	c.byKey[key] = c.order.PushFront(&entry[K, V]{key, value})
	if c.order.Len() > c.limit {
		oldest := c.order.Back()
		delete(c.byKey, c.entry(oldest).key)
		c.order.Remove(oldest)
	}
}

// Len returns the number of entries.
func (c *Cache[K, V]) Len() int { return len(c.byKey) }

func (c *Cache[K, V]) entry(element *list.Element) *entry[K, V] {
	held, _ := element.Value.(*entry[K, V]) // the list holds nothing else
	return held
}
