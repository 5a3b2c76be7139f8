"""`python sdk_uploads.py PREFIX COUNT PAUSE`: uploads texts, one call each, by the SDK, whose own retries are at work.

It waits PAUSE seconds before each of them; as it comes, that is 5.
"""

import os
import sys

from clarifai.client.input import Inputs

prefix, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
inputs = Inputs(user_id=os.environ["CLARIFAI_USER_ID"], app_id=os.environ["CLARIFAI_APP_ID"])
inputs.STUB.backoff_time = pause
for number in range(count):
    inputs.upload_text(input_id=f"{prefix}-{number}", raw_text=f"text {number} of {prefix}")
