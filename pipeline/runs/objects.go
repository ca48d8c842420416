package runs

func (f *fields) metadata(p *[]Pair) error {
	if f.null() {
		return f.r.Null()
	}
	return f.r.Object(func(key string) error {
		s, err := f.r.Text()
		if err == nil {
			err = f.element()
		}
		*p = append(*p, Pair{key, s})
		return err
	})
}

func (f *fields) parameters(p *[]Pair) error {
	if f.null() {
		return f.r.Null()
	}
	return f.r.Object(func(key string) error {
		raw, err := f.r.Raw()
		if err == nil {
			err = f.element()
		}
		*p = append(*p, Pair{key, raw})
		return err
	})
}

func (f *fields) error(p **Error) error {
	if f.null() {
		return f.r.Null()
	}
	var v Error
	*p = &v
	return f.r.Object(func(key string) error {
		switch key {
		case "type":
			return f.text(&v.Type)
		case "message":
			return f.text(&v.Message)
		}
		return f.skip("error." + key)
	})
}

func (f *fields) usage(p **Usage) error {
	if f.null() {
		return f.r.Null()
	}
	var v Usage
	*p = &v
	return f.r.Object(func(key string) error {
		switch key {
		case "input_tokens":
			return f.integer(&v.InputTokens)
		case "output_tokens":
			return f.integer(&v.OutputTokens)
		}
		return f.skip("usage." + key)
	})
}

func (f *fields) prompt(v *Node) error {
	if f.null() {
		return f.r.Null()
	}
	return f.r.Object(func(key string) error {
		switch key {
		case "template":
			return f.text(&v.PromptTemplate)
		case "variables":
			return f.object(&v.PromptVariables)
		}
		return f.skip("prompt." + key)
	})
}

func (f *fields) files(p *[]File) error {
	if f.null() {
		return f.r.Null()
	}
	return f.r.Array(func(int) error {
		var v File
		err := f.r.Object(func(key string) error {
			switch key {
			case "file_id":
				return f.text(&v.FileID)
			case "name":
				return f.text(&v.Name)
			case "uri":
				return f.text(&v.URI)
			case "content_type":
				return f.text(&v.ContentType)
			case "size_bytes":
				return f.integer(&v.SizeBytes)
			case "direction":
				return f.enum(&v.Direction, directions)
			}
			return f.skip("files." + key)
		})
		if err == nil {
			err = f.element()
		}
		*p = append(*p, v)
		return err
	})
}

func (f *fields) chunks(p *[]Chunk) error {
	if f.null() {
		return f.r.Null()
	}
	return f.r.Array(func(int) error {
		var v Chunk
		err := f.r.Object(func(key string) error {
			switch key {
			case "chunk_id":
				return f.text(&v.ChunkID)
			case "text":
				return f.text(&v.Text)
			case "score":
				return f.float(&v.Score)
			case "source_uri":
				return f.text(&v.SourceURI)
			case "title":
				return f.text(&v.Title)
			case "sent_to_llm":
				return f.boolean(&v.SentToLLM)
			case "used_in_answer":
				return f.boolean(&v.UsedInAnswer)
			}
			return f.skip("chunks." + key)
		})
		if err == nil {
			err = f.element()
		}
		*p = append(*p, v)
		return err
	})
}
