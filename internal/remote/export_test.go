package remote

import "io/fs"

var (
	RetryAfter   = retryAfter
	RefreshAfter = refreshAfter
)

const (
	MaxWaiters    = maxWaiters
	MaxBackoff    = maxBackoff
	MaxRetryAfter = maxRetryAfter
	MinMaxAge     = minMaxAge
)

// CheckURL returns the error of a document at the URL raw, or nil.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

// SaveFile saves copies one after the other, without a Document.
func SaveFile(path, url string, copies ...Copy) error {
	s := savedFile{path: path, url: url}
	for _, c := range copies {
		if err := s.save(c); err != nil {
			return err
		}
	}
	return nil
}

// LoadFile reads a saved file without a Document.
func LoadFile(path, url string, maxBytes int64) (Copy, error) {
	return LoadFileOfUser(path, url, maxBytes, ownerOf)
}

// LoadFileOfUser is LoadFile for a file whose owner is what owner returns.
func LoadFileOfUser(path, url string, maxBytes int64, owner func(fs.FileInfo) (uid int, ok bool)) (Copy, error) {
	s := savedFile{path: path, url: url, maxBytes: maxBytes, ownerOf: owner}
	return s.load()
}
