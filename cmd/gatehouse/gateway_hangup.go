package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
)

// reopenOnHangup opens the audit files again at each SIGHUP, which is what programs that rotate logs
// send, until the function that it returns is called. Without it, SIGHUP would end the gateway, and
// systemd would not start it again, because it counts that as a regular end.
func reopenOnHangup(loader *gatewayfile.Loader, logger *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if err := loader.ReopenAuditFiles(); err != nil {
				logger.Error("audit file not opened again; events go on to the old one", "error", err)
				continue
			}
			logger.Info("SIGHUP: audit files opened again; the config file is read again whenever it changes")
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
	}
}
