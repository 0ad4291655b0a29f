package remote

var (
	RetryAfter = retryAfter
	FreshFor   = freshFor
)

const (
	MaxWaiters    = maxWaiters
	MaxBackoff    = maxBackoff
	MaxRetryAfter = maxRetryAfter
	LeastFreshFor = leastFreshFor
)

// SaveFile keeps copies one after the other, without a Document.
func SaveFile(path, url string, copies ...Copy) error {
	k := keptFile{path: path, url: url}
	for _, c := range copies {
		if err := k.save(c); err != nil {
			return err
		}
	}
	return nil
}

// LoadFile reads a kept file without a Document.
func LoadFile(path, url string, maxBytes int64) (Copy, error) {
	k := keptFile{path: path, url: url, maxBytes: maxBytes}
	return k.load()
}
