package main

import (
	"crypto/rand"
	"errors"
	"maps"
	"net/url"
	"sync"
	"time"
)

const (
	maxLinks     = 1000 // that are not finished
	maxConnected = 10_000
	linkLifetime = 10 * time.Minute
)

var (
	errTooManyLinks = errors.New("links: too many are open")
	errOtherUser    = errors.New("this link is for another user, or has expired; start again in your assistant")
)

// links are the pages that users were asked to open.
type links struct {
	page string

	mu        sync.Mutex
	open      map[string]link // by ID
	connected map[string]bool // by principal
}

type link struct {
	principal string // who called the tool
	expires   time.Time
}

func newLinks(page string) *links {
	return &links{page: page, open: map[string]link{}, connected: map[string]bool{}}
}

// begin returns the URL of a page for the principal. The URL has a random ID, and neither a credential nor
// anything about the user.
func (l *links) begin(principal string) (address, id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(l.open, func(_ string, link link) bool { return !now.Before(link.expires) })
	if len(l.open) >= maxLinks {
		return "", "", errTooManyLinks
	}
	id = rand.Text()
	l.open[id] = link{principal, now.Add(linkLifetime)}
	return l.page + "?" + url.Values{"id": {id}}.Encode(), id, nil
}

// finish is for the page. principal is the user who is signed in at the page, by a sign-in of its own: the user who
// called the tool can send the link to someone else, whose calendar would then be connected to the wrong user.
func (l *links) finish(id, principal string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	link, ok := l.open[id]
	if !ok || link.principal != principal || !time.Now().Before(link.expires) {
		return errOtherUser
	}
	if len(l.connected) >= maxConnected {
		return errTooManyLinks
	}
	delete(l.open, id)
	l.connected[principal] = true
	return nil
}

func (l *links) isConnected(principal string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connected[principal]
}
