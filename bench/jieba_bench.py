# Microseconds that jieba needs to cut a text of the file (one a line) into words: processor time, the median of all texts after one pass that loads the dictionary.
import json
import logging
import sys
import time

import jieba

jieba.setLogLevel(logging.ERROR)
with open(sys.argv[1], encoding='utf-8') as texts:
    lines = texts.read().split('\n')[:-1]
jieba.lcut(lines[0])
took = []
for line in lines:
    began = time.process_time_ns()
    jieba.lcut(line)
    took.append(time.process_time_ns() - began)
print(json.dumps({'jieba_us': sorted(took)[len(took) // 2] / 1e3}))
