package main

import (
	"errors"
	"maps"
	"sync"
)

// maxOwners bounds the owners whose notes are in memory.
const maxOwners = 10_000

var errTooManyOwners = errors.New("notes: too many owners")

// notes are the notes of each user, in memory. Every user begins with the same two.
type notes struct {
	mu      sync.Mutex
	byOwner map[string]map[string]string
}

func newNotes() *notes { return &notes{byOwner: map[string]map[string]string{}} }

// of returns the notes of an owner. The caller must hold mu.
func (n *notes) of(owner string) (map[string]string, error) {
	if n.byOwner[owner] == nil {
		if len(n.byOwner) >= maxOwners {
			return nil, errTooManyOwners
		}
		n.byOwner[owner] = map[string]string{"welcome": "# Welcome", "todo": "- write a tool"}
	}
	return n.byOwner[owner], nil
}

func (n *notes) read(owner, id string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	own, err := n.of(owner)
	if err != nil {
		return "", err
	}
	text, ok := own[id]
	if !ok {
		return "", errNoSuchNote
	}
	return text, nil
}

func (n *notes) delete(owner, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	own, err := n.of(owner)
	if err != nil {
		return err
	}
	maps.DeleteFunc(own, func(name, _ string) bool { return name == id })
	return nil
}
