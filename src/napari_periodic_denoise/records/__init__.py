"""Records of results: values, tables, words, reports, scripts."""
