package main

// maxTypos is how many letters a name may differ from the one that is suggested.
const maxTypos = 2

// nearest returns the candidate that name was most likely meant to be, or ""
// when none is near.
func nearest(name string, candidates []string) string {
	best, found := maxTypos+1, ""
	for _, candidate := range candidates {
		if d := distance(name, candidate); d < best && d < len(candidate) {
			best, found = d, candidate
		}
	}
	return found
}

// distance is the Levenshtein distance of a and b: how many letters must be
// changed, added or removed. Names far apart in length count as that far apart.
func distance(a, b string) int {
	if d := max(len(a)-len(b), len(b)-len(a)); d > maxTypos {
		return d
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
