package wellknown

// A Fault describes what is wrong with an identifier, and what to write instead. Both
// are one line in lower case. Problem continues a sentence that begins with the quoted
// value: `"mcp.example.com/mcp" is not an absolute URL`.
type Fault struct {
	Problem, Fix string
}

// Error returns the problem and the fix, separated by a semicolon.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }
