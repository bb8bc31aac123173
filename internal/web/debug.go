package web

import (
	"bufio"
	"bytes"
	"io"
	"net/http"

	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// answerDebug writes the story of a scrape, and its metrics, as text for users.
func (h *metricsHandler) answerDebug(w http.ResponseWriter, r *http.Request, scraped scrape.Scraped, p page) {
	sender := h.gate.send(w, p.size()+len(scraped.Story))
	defer sender.close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	dropped, err := respond(sender, r, h.smallestCompressed(), func(buffer *bufio.Writer) error {
		defer sender.release()
		defer scraped.Release()
		_, _ = buffer.WriteString(scraped.Story + "\nMetrics:\n")
		lines := &printableLines{w: buffer}
		text := bufio.NewWriter(lines)
		err := p.write(text, expfmt.NewFormat(expfmt.TypeTextPlain))
		_ = text.Flush()
		lines.flush()
		return err
	})
	h.logFailures(dropped, err)
}

// printableLines writes lines with all characters escaped that a terminal could act on.
type printableLines struct {
	w    io.Writer
	rest []byte // a line without its end
}

// Write implements io.Writer.
func (p *printableLines) Write(text []byte) (int, error) {
	p.rest = append(p.rest, text...)
	for {
		line, rest, found := bytes.Cut(p.rest, []byte("\n"))
		if !found {
			return len(text), nil
		}
		_, _ = io.WriteString(p.w, cli.Printable(string(line))+"\n")
		p.rest = rest
	}
}

// flush writes a last line that has no end.
func (p *printableLines) flush() { _, _ = io.WriteString(p.w, cli.Printable(string(p.rest))) }
