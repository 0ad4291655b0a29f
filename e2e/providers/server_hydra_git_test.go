//go:build providers && sources && unix

package providers

func init() {
	const version = "v26.2.0"
	hydraReleases = append(hydraReleases, hydraRelease{
		version:   version,
		recording: "recorded-hydra-" + version + "-",
		build: gitProgram{
			name:       "hydra-git",
			repository: "https://github.com/ory/hydra",
			tag:        version,
			pkg:        ".",
			tags:       hydraTags,
		}.build,
	})
}
